/* SPDX-License-Identifier: MIT */
/* The non-blocking sender.
 *
 * sd_journal_sendv() is not used: it blocks while journald is stopped, and reports success when the
 * socket is missing. Here EAGAIN, ENOENT, ECONNREFUSED and their like mean "later". Invariant:
 * entries leave in the order in which they came, so nothing is sent while something waits. */

#include "daemon/journal.h"
#include "daemon/entry.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUEUE_MAX 4096

struct pw_journal {
        int fd; /* -EBADF: standard error */
        struct sockaddr_un address;
        void (*on_sent)(void *userdata, int64_t alert_id);
        void *userdata;
        struct pw_entry *queue[QUEUE_MAX]; /* a ring */
        size_t first, n;
        uint64_t lost;
};

int pw_journal_new(const char *path, void (*on_sent)(void *userdata, int64_t alert_id),
                   void *userdata, struct pw_journal **ret)
{
        _cleanup_(pw_journal_freep) struct pw_journal *journal = calloc(1, sizeof *journal);

        if (!journal)
                return -ENOMEM;
        journal->fd = -EBADF;
        journal->on_sent = on_sent;
        journal->userdata = userdata;
        if (path) {
                journal->address.sun_family = AF_UNIX;
                if (strlen(path) >= sizeof journal->address.sun_path)
                        return -ENAMETOOLONG;
                strcpy(journal->address.sun_path, path);
                journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                if (journal->fd < 0)
                        return -errno;
        }
        *ret = PW_TAKE_PTR(journal);
        return 0;
}

void pw_journal_free(struct pw_journal *journal)
{
        if (!journal)
                return;
        pw_journal_flush(journal);
        for (; journal->n > 0; journal->n--) {
                pw_entry_free(journal->queue[journal->first]);
                journal->first = (journal->first + 1) % QUEUE_MAX;
        }
        pw_closep(&journal->fd);
        free(journal);
}

/* 0: sent. 1: the journal is not there or full, try later. -errno: this entry can never be sent. */
static int send_one(struct pw_journal *journal, const struct pw_entry *entry)
{
        if (journal->fd < 0) {
                fprintf(stderr, "portwatchd: %s\n", entry->text);
                return 0;
        }
        /* Addressed each time: a journal that was restarted has a new socket at the same path. */
        while (sendto(journal->fd, entry->data, entry->length, MSG_NOSIGNAL,
                      (const struct sockaddr *)&journal->address, sizeof journal->address) < 0) {
                if (errno == EINTR)
                        continue;
                return errno == EMSGSIZE || errno == EINVAL ? -errno : 1;
        }
        return 0;
}

size_t pw_journal_flush(struct pw_journal *journal)
{
        while (journal->n > 0) {
                struct pw_entry *entry = journal->queue[journal->first];
                int r = send_one(journal, entry);

                if (r > 0)
                        break;
                journal->first = (journal->first + 1) % QUEUE_MAX;
                journal->n--;
                if (r < 0)
                        journal->lost++;
                else if (entry->alert_id != 0 && journal->on_sent)
                        journal->on_sent(journal->userdata, entry->alert_id);
                pw_entry_free(entry);
        }
        return journal->n;
}

void pw_journal_send(struct pw_journal *journal, struct pw_entry *entry)
{
        if (!entry || entry->incomplete || journal->n == QUEUE_MAX) {
                journal->lost++;
                pw_entry_free(entry);
                return;
        }
        journal->queue[(journal->first + journal->n++) % QUEUE_MAX] = entry;
        if (journal->n == 1)
                pw_journal_flush(journal);
}

size_t pw_journal_waiting(const struct pw_journal *journal)
{
        return journal->n;
}

uint64_t pw_journal_lost(const struct pw_journal *journal)
{
        return journal->lost;
}
