/* SPDX-License-Identifier: MIT */
/* Names of users, remembered. A host has few users with open ports, so the memory is a short array
 * that is emptied when it is full; passwd is read again only for a user not in it. */

#include "daemon/users.h"

#include <portwatch/text.h>

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#define USERS_MAX 256
#define NAME_MAX_BYTES 256 /* LOGIN_NAME_MAX, with NUL; longer ones are cut */

struct user {
        uint32_t uid;
        bool named; /* else its number stands for it */
        char name[NAME_MAX_BYTES];
};

struct pw_users {
        int etc_fd;
        struct stat passwd; /* the file that the names are from */
        size_t n;
        struct user users[USERS_MAX];
};

int pw_users_new(int etc_fd, struct pw_users **ret)
{
        struct pw_users *users = calloc(1, sizeof *users);

        if (!users)
                return -ENOMEM;
        users->etc_fd = etc_fd;
        *ret = users;
        return 0;
}

void pw_users_free(struct pw_users *users)
{
        free(users);
}

static bool same_content(const struct stat *a, const struct stat *b)
{
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void pw_users_refresh(struct pw_users *users)
{
        struct stat st = {0};
        size_t kept = 0;

        if (fstatat(users->etc_fd, "passwd", &st, 0) < 0 || !same_content(&st, &users->passwd))
                users->n = 0;
        users->passwd = st;
        for (size_t i = 0; i < users->n; i++)
                if (users->users[i].named)
                        users->users[kept++] = users->users[i];
        users->n = kept;
}

static void set_name(struct user *user, const char *name)
{
        pw_text_clean(user->name, sizeof user->name, name, strlen(name));
        user->named = name[0] != '\0';
}

static void ask_file(int etc_fd, struct user *user)
{
        _cleanup_(pw_closep) int fd = openat(etc_fd, "passwd", O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_(pw_fclosep) FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
        struct passwd entry, *found;
        char space[16384];

        if (!file)
                return;
        fd = -EBADF;
        while (!user->named && fgetpwent_r(file, &entry, space, sizeof space, &found) == 0)
                if (entry.pw_uid == user->uid)
                        set_name(user, entry.pw_name);
}

static void ask_system(struct user *user)
{
        struct passwd entry, *found = NULL;
        char space[16384];

        if (getpwuid_r(user->uid, &entry, space, sizeof space, &found) == 0 && found)
                set_name(user, entry.pw_name);
}

char *pw_users_name(struct pw_users *users, uint32_t uid)
{
        struct user *user;

        for (size_t i = 0; i < users->n; i++)
                if (users->users[i].uid == uid)
                        return strdup(users->users[i].name);
        if (users->n == USERS_MAX)
                users->n = 0;
        user = &users->users[users->n++];
        *user = (struct user){.uid = uid};
        ask_file(users->etc_fd, user);
        if (!user->named)
                ask_system(user);
        if (!user->named)
                snprintf(user->name, sizeof user->name, "%u", uid);
        return strdup(user->name);
}
