/* SPDX-License-Identifier: MIT */
/* Lists who holds which socket, in all network namespaces. Every descriptor of every process is
 * looked at, so what that costs is what counts: the tables are read as they lie, without a
 * reference to each file. Nothing keeps them as they are meanwhile, so that a row is told only
 * where, after everything was read, the process still has this file there, and the file its socket.
 *
 * Rows are put into memory that the reader shares, not into the iterator's file: what one call
 * writes there must fit into the kernel's buffer (32 KiB, or else the whole list fails). Where
 * there is no room for more, or enough was looked at for one read(2), a call asks to be made again
 * for the same thread: read(2) fails with EAGAIN, and once the rows are read, the next read(2) goes
 * on. What is looked at is bounded because nothing else runs on this processor until a call ends,
 * and nobody else has a say until read(2) ends.
 *
 * These are a program of their own because they are loaded in another way (engine-holders.c), and
 * functions of their own, not inlined, because the kernel then verifies each once and not for every
 * way to get there: loading takes longer than listing where there are few processes. */

#include "daemon/bpf/engine-socket.h"

#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define SOCKFS_MAGIC 0x534F434B /* <linux/magic.h> */

#define WORD_BITS 64
#define WORK_A_READ 8192 /* descriptors; a word without an open one counts as one of them */

char program_license[] SEC("license") = "Dual MIT/GPL"; /* helpers ask for it */

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct record_list);
} list SEC(".maps");

/* What is kept from call to call: no part of what the reader can see. One list at a time. */
struct memory {
        __u64 list; /* which one it is */
        struct {
                __u64 started;
                __u32 thread, next; /* thread 0: the list goes on with all of the next one */
        } rest;                     /* the thread, and its descriptor, that it goes on with */
        struct {
                __u64 started;
                struct files_struct *files;
        } told; /* the last table of a process whose first thread has ended */
        /* Those of all sockets, once this list has found one: most descriptors are none. */
        const struct file_operations *socket_operations;
        /* Of the descriptors that are looked at: each call to read costs, so that all are read in
         * one. */
        struct file *files[WORD_BITS];
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct memory);
} memory SEC(".maps");

/* The descriptors of one thread, nearly always those of all its process's threads. */
struct table {
        struct task_struct *task;
        __u64 word;  /* one bit for each descriptor that is open */
        __u32 base;  /* the first of them */
        __u32 first; /* descriptor of this call */
        __u32 next;  /* of the next call; 0: this one takes all */
        __u32 named; /* the row says whose it is */
        struct record_row row;
};

static __always_inline struct record_list *get_list(void)
{
        __u32 only = 0;

        return bpf_map_lookup_elem(&list, &only);
}

static __always_inline struct memory *get_memory(void)
{
        __u32 only = 0;

        return bpf_map_lookup_elem(&memory, &only);
}

static __always_inline struct fdtable *table_of(struct task_struct *task)
{
        return BPF_CORE_READ(task, files, fdt);
}

static __always_inline __u32 words_of(struct fdtable *fdt)
{
        return (BPF_CORE_READ(fdt, max_fds) + WORD_BITS - 1) / WORD_BITS;
}

/* Whether another thread of its process has the same table, and it is told with that one. */
static __always_inline bool is_told(struct memory *kept, struct task_struct *task,
                                    struct files_struct *own)
{
        struct task_struct *leader = BPF_CORE_READ(task, group_leader);
        struct files_struct *first = BPF_CORE_READ(leader, files);
        __u64 started;

        if (task == leader || first)
                return task != leader && first == own;
        started = BPF_CORE_READ(leader, start_boottime);
        if (kept->told.started == started && kept->told.files == own)
                return true;
        kept->told.started = started;
        kept->told.files = own;
        return false;
}

/* How many words of its table are to be looked at. */
__noinline int begin(struct table *table)
{
        struct memory *kept = get_memory();
        struct task_struct *task;
        struct files_struct *own;

        if (!table || !kept)
                return 0;
        task = table->task;
        own = BPF_CORE_READ(task, files);
        if (!own)
                return 0;
        if (kept->rest.thread != 0 && kept->rest.thread == (__u32)BPF_CORE_READ(task, pid) &&
            kept->rest.started == BPF_CORE_READ(task, start_boottime))
                table->first = kept->rest.next;
        else if (is_told(kept, task, own))
                return 0;
        return (int)(words_of(table_of(task)) - table->first / WORD_BITS);
}

/* Whether there is something in this word. */
__noinline int read_word(struct table *table, __u32 i)
{
        struct memory *kept = get_memory();
        struct task_struct *task;
        struct fdtable *fdt;
        __u64 word = 0;
        __u32 used; /* this many, or less: most tables are small, and copying takes its time */

        if (!table || !kept)
                return 0;
        task = table->task;
        fdt = table_of(task);
        if (i >= words_of(fdt))
                return 0;
        bpf_probe_read_kernel(&word, sizeof word, BPF_CORE_READ(fdt, open_fds) + i);
        if (i * WORD_BITS < table->first)
                word &= ~0ULL << table->first % WORD_BITS;
        table->word = word;
        table->base = i * WORD_BITS;
        used = word >> 32 ? WORD_BITS : word >> 16 ? 32 : 16;
        return word != 0 && bpf_probe_read_kernel(kept->files, used * sizeof *kept->files,
                                                  BPF_CORE_READ(fdt, fd) + table->base) == 0;
}

/* As sockfd_lookup() does it. */
static __always_inline struct socket *socket_of(struct file *file, struct inode *inode)
{
        if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK ||
            BPF_CORE_READ(inode, i_sb, s_magic) != SOCKFS_MAGIC)
                return NULL;
        return BPF_CORE_READ(file, private_data);
}

/* A file that is closed can be another one at once; an inode lives until nobody reads any more. */
static __always_inline bool is_still_there(struct task_struct *task, __u32 fd, struct file *file,
                                           struct inode *inode)
{
        struct fdtable *fdt = table_of(task);
        struct file *now = NULL;

        if (fd >= BPF_CORE_READ(fdt, max_fds))
                return false;
        bpf_probe_read_kernel(&now, sizeof now, BPF_CORE_READ(fdt, fd) + fd);
        return now == file && BPF_CORE_READ(file, f_inode) == inode;
}

/* An MPTCP listener is told as its TCP subflow. */
static __always_inline struct sock *told_as(struct sock *sk, __u16 protocol)
{
        if (protocol != IPPROTO_MPTCP)
                return sk;
        if (!bpf_core_type_exists(struct mptcp_sock))
                return NULL;
        return BPF_CORE_READ((struct mptcp_sock *)sk, first);
}

/* Whether the row is filled. */
__noinline int read_descriptor(struct table *table, __u32 fd)
{
        struct memory *kept = get_memory();
        const struct file_operations *operations;
        struct record_socket *record;
        struct task_struct *task;
        struct socket *socket;
        struct inode *inode;
        struct file *file;
        struct sock *sk;
        __u64 cookie, number;
        __u16 protocol;

        if (!table || !kept)
                return 0;
        record = &table->row.socket;
        file = kept->files[fd % WORD_BITS];
        if (!file)
                return 0;
        operations = BPF_CORE_READ(file, f_op);
        if (kept->socket_operations && operations != kept->socket_operations)
                return 0;
        inode = BPF_CORE_READ(file, f_inode);
        socket = socket_of(file, inode);
        if (!socket)
                return 0;
        sk = BPF_CORE_READ(socket, sk);
        if (!sk || !is_inet(sk))
                return 0;
        protocol = BPF_CORE_READ(sk, sk_protocol);
        if (!waits(sk, protocol))
                return 0;
        sk = told_as(sk, protocol);
        if (!sk)
                return 0;
        cookie = (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
        number = BPF_CORE_READ(inode, i_ino);
        read_endpoint(record, sk);
        record->cookie = cookie;
        record->inode = number;
        task = table->task;
        if (!is_still_there(task, fd, file, inode))
                return 0;
        if (BPF_CORE_READ(file, f_op) == operations)
                kept->socket_operations = operations;
        return 1;
}

static __always_inline struct upid *number_of(struct pid *pid, __u32 level)
{
        return (void *)pid + bpf_core_field_offset(struct pid, numbers) +
               level * bpf_core_type_size(struct upid);
}

/* The process's number in the namespace of who reads the list; 0: it has none there. */
static __always_inline __u32 pid_for_reader(struct task_struct *leader)
{
        struct task_struct *reader = (struct task_struct *)bpf_get_current_task();
        struct pid *ours = BPF_CORE_READ(reader, thread_pid);
        struct pid *pid = BPF_CORE_READ(leader, thread_pid);
        __u32 level = BPF_CORE_READ(ours, level);
        struct upid *number = number_of(pid, level);

        if (BPF_CORE_READ(pid, level) < level ||
            BPF_CORE_READ(number, ns) != BPF_CORE_READ(number_of(ours, level), ns))
                return 0;
        return (__u32)BPF_CORE_READ(number, nr);
}

__noinline int read_process(struct table *table)
{
        struct task_struct *task, *leader;

        if (!table)
                return 0;
        task = table->task;
        leader = BPF_CORE_READ(task, group_leader);
        table->row.holder.started_nsec = BPF_CORE_READ(leader, start_boottime);
        table->row.holder.pid = pid_for_reader(leader);
        bpf_core_read(table->row.holder.comm, RECORD_COMM_MAX, &leader->comm);
        table->named = 1;
        return 0;
}

static long on_bit(__u32 i, void *data)
{
        struct table *table = data;
        struct record_list *to = get_list();
        __u64 rest_of_word = table->word >> i;
        __u32 at;

        if (!to || rest_of_word == 0)
                return 1; /* ends the word */
        if (!(rest_of_word & 1) || !read_descriptor(table, table->base + i))
                return 0;
        at = to->rows_used;
        if (at >= RECORD_ROWS_MAX) {
                table->next = table->base + i;
                return 1;
        }
        if (!table->named)
                read_process(table);
        to->rows[at] = table->row;
        to->rows_used = at + 1;
        return 0;
}

static long on_word(__u32 i, void *data)
{
        struct table *table = data;
        struct record_list *to = get_list();

        if (!to)
                return 1;
        i += table->first / WORD_BITS;
        if (read_word(table, i)) {
                bpf_loop(WORD_BITS, on_bit, table, 0);
                to->work += WORD_BITS;
        }
        to->work++;
        if (table->next == 0 && to->work >= WORK_A_READ)
                table->next = (i + 1) * WORD_BITS;
        return table->next != 0;
}

SEC("iter/task")
int list_files(struct bpf_iter__task *ctx)
{
        struct task_struct *task = ctx->task;
        struct table table = {.task = task};
        struct record_list *to = get_list();
        struct memory *kept = get_memory();

        if (!task || !to || !kept)
                return 0;
        /* So there is room for a row, and where the list goes on later, it is not at 0. */
        if (to->rows_used >= RECORD_ROWS_MAX || to->work >= WORK_A_READ)
                return 1;
        if (kept->list != ctx->meta->session_id) {
                kept->list = ctx->meta->session_id;
                kept->rest.thread = 0;
                kept->told.started = 0;
                kept->socket_operations = NULL;
        }
        bpf_loop((__u32)begin(&table), on_word, &table, 0);
        kept->rest.thread = 0;
        if (table.next == 0)
                return 0;
        kept->rest.thread = (__u32)BPF_CORE_READ(task, pid);
        kept->rest.started = BPF_CORE_READ(task, start_boottime);
        kept->rest.next = table.next;
        return 1;
}
