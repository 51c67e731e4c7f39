/* SPDX-License-Identifier: MIT */
/* Lists who holds which socket, in all network namespaces. Every descriptor of every process is
 * looked at, so what that costs is what counts: the tables are read as they lie, without a
 * reference to each file. RCU keeps them where they are; a row is told only where its descriptor is
 * the same after everything was read as before.
 *
 * These are a program of their own because they are loaded in another way (engine-holders.c), and
 * functions of their own, not inlined, because the kernel then verifies each once and not for every
 * way to get there: loading takes longer than listing where there are few processes. */

#include "daemon/bpf/engine-socket.h"

#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define SOCKFS_MAGIC 0x534F434B /* <linux/magic.h> */

#define WORD_BITS 64

char program_license[] SEC("license") = "Dual MIT/GPL"; /* helpers ask for it */

/* The descriptors of one process. */
struct table {
        struct task_struct *task;
        struct files_struct *files;
        struct file **fds;
        unsigned long *open; /* one bit each */
        __u64 word;          /* … of which these are looked at */
        __u32 base;          /* the first of them */
        __u32 named;         /* the row says whose it is */
        struct record_row row;
};

/* The files of these descriptors: each call to read costs, so that all are read in one. Two that
 * read the same list at once would lose rows, but not mix them up. */
struct file *files[WORD_BITS];

struct listing {
        struct seq_file
            *seq; /* the verifier wants to know it, which it would not inside of `table` */
        struct table table;
};

/* How many words its table has; 0: it has none, or another thread of the process has the same. */
__noinline int begin(struct table *table)
{
        struct task_struct *task, *leader;
        struct files_struct *files;
        struct fdtable *fdt;

        if (!table)
                return 0;
        task = table->task;
        leader = BPF_CORE_READ(task, group_leader);
        files = BPF_CORE_READ(task, files);
        if (!files || (task != leader && BPF_CORE_READ(leader, files) == files))
                return 0;
        fdt = BPF_CORE_READ(files, fdt);
        table->files = files;
        table->fds = BPF_CORE_READ(fdt, fd);
        table->open = BPF_CORE_READ(fdt, open_fds);
        return (int)((BPF_CORE_READ(fdt, max_fds) + WORD_BITS - 1) / WORD_BITS);
}

/* As sockfd_lookup() does it. */
static __always_inline struct socket *socket_of(struct file *file)
{
        struct inode *inode = BPF_CORE_READ(file, f_inode);

        if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK ||
            BPF_CORE_READ(inode, i_sb, s_magic) != SOCKFS_MAGIC)
                return NULL;
        return BPF_CORE_READ(file, private_data);
}

/* Whether the row is filled. */
__noinline int read_descriptor(struct table *table, __u32 fd)
{
        struct record_socket *record;
        struct task_struct *task;
        struct socket *socket;
        struct file *file, *again;
        struct sock *sk;
        __u64 cookie, inode;
        __u16 protocol;

        if (!table)
                return 0;
        record = &table->row.socket;
        file = files[fd % WORD_BITS];
        if (!file)
                return 0;
        socket = socket_of(file);
        if (!socket)
                return 0;
        sk = BPF_CORE_READ(socket, sk);
        if (!sk || !is_inet(sk))
                return 0;
        protocol = BPF_CORE_READ(sk, sk_protocol);
        if (!waits(sk, protocol))
                return 0;
        if (protocol == IPPROTO_MPTCP)
                sk = BPF_CORE_READ((struct mptcp_sock *)sk, first);
        if (!sk)
                return 0;
        cookie = (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
        inode = BPF_CORE_READ(file, f_inode, i_ino);
        read_endpoint(record, sk);
        record->cookie = cookie;
        record->inode = inode;
        task = table->task;
        if (bpf_probe_read_kernel(&again, sizeof again, &table->fds[fd]) < 0)
                return 0;
        return again == file && BPF_CORE_READ(task, files) == table->files;
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
        struct listing *listing = data;
        struct table *table = &listing->table;
        __u64 rest = table->word >> i;

        if (rest == 0)
                return 1; /* ends the word */
        if (!(rest & 1) || !read_descriptor(table, table->base + i))
                return 0;
        if (!table->named)
                read_process(table);
        bpf_seq_write(listing->seq, &table->row, sizeof table->row);
        return 0;
}

static long on_word(__u32 i, void *data)
{
        struct listing *listing = data;
        struct table *table = &listing->table;

        table->base = i * WORD_BITS;
        if (bpf_probe_read_kernel(&table->word, sizeof table->word, &table->open[i]) < 0 ||
            table->word == 0 ||
            bpf_probe_read_kernel(files, sizeof files, &table->fds[table->base]) < 0)
                return 0;
        bpf_loop(WORD_BITS, on_bit, listing, 0);
        return 0;
}

SEC("iter/task")
int list_files(struct bpf_iter__task *ctx)
{
        struct listing listing;

        if (!ctx->task)
                return 0;
        __builtin_memset(&listing, 0, sizeof listing);
        listing.seq = ctx->meta->seq;
        listing.table.task = ctx->task;
        bpf_loop((__u32)begin(&listing.table), on_word, &listing, 0);
        return 0;
}
