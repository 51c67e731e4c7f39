/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading sockets and processes, for all programs: they differ in what the verifier knows of a
 * pointer, and reading with a check at run time works for each kind of it. */

#include "daemon/bpf/engine-kernel.h"
#include "daemon/bpf/engine-records.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP 262

#define TCP_CLOSE 7
#define TCP_LISTEN 10

#define SOCK_BINDPORT_LOCK 8 /* sk_userlocks */

#define PID_LEVELS_MAX 32 /* as the kernel's MAX_PID_NS_LEVEL */
#define CGROUP_STEPS_MAX 12
#define CGROUP_NAME_MAX 128 /* with its NUL */
#define EXE_STEPS_MAX 48  /* of a path */
#define EXE_NAME_MAX 256  /* with its NUL */

const volatile struct record_settings settings;

/* ---- sockets ---- */

static __always_inline bool is_inet(const struct sock *sk)
{
        __u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

        return family == AF_INET || family == AF_INET6;
}

static __always_inline bool is_datagram(__u16 protocol)
{
        return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
}

static __always_inline bool is_explicit(struct sock *sk)
{
        return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK;
}

/* A socket's control group. Until 5.14 one word held it or, with a bit set, something of the first
 * version of control groups; the root stands for the latter, as in sock_diag. */
static __always_inline __u64 socket_cgroup(struct sock *sk)
{
        struct cgroup *cgroup;

        if (!bpf_core_field_exists(sk->sk_cgrp_data))
                return 0;
        if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
                cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
        } else {
                struct sock_cgroup_data___5_14 *data = (void *)&sk->sk_cgrp_data;
                __u64 word = BPF_CORE_READ(data, val);

                cgroup = word & 3 ? NULL : (struct cgroup *)word;
        }
        return cgroup ? BPF_CORE_READ(cgroup, kn, id) : 1;
}

/* A subflow of MPTCP has no file, but a process has the MPTCP socket that it belongs to. */
static __always_inline bool is_kernels(struct sock *sk, struct socket *socket, __u16 protocol)
{
        struct tcp_sock *tcp = (struct tcp_sock *)sk;

        if (!socket || BPF_CORE_READ(socket, file))
                return false;
        return protocol != IPPROTO_TCP || !bpf_core_field_exists(tcp->is_mptcp) ||
               !BPF_CORE_READ(tcp, is_mptcp);
}

static __always_inline __u16 socket_port(struct sock *sk)
{
        __u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);

        /* At the end of a listener whose port the kernel had chosen only this one is left. */
        return port ?: bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

/* Everything but the cookie, which each kind of program asks for in its own way. */
static __always_inline void read_socket(struct record_socket *record, struct sock *sk)
{
        struct socket *socket = BPF_CORE_READ(sk, sk_socket);
        __u16 protocol = BPF_CORE_READ(sk, sk_protocol);
        struct net *net;

        __builtin_memset(record, 0, sizeof *record);
        record->cgroup_id = socket_cgroup(sk);
        if (socket)
                record->inode = BPF_CORE_READ((struct socket_alloc *)socket, vfs_inode.i_ino);
        net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
        record->netns = BPF_CORE_READ(net, ns.inum);
        if (bpf_core_field_exists(net->net_cookie)) /* since Linux 5.12 */
                record->netns_id = BPF_CORE_READ(net, net_cookie);
        record->uid = BPF_CORE_READ(sk, sk_uid.val);
        record->ifindex = (__u32)BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
        record->port = socket_port(sk);
        record->family = (__u8)BPF_CORE_READ(sk, __sk_common.skc_family);
        record->protocol = (__u8)protocol;
        if (is_explicit(sk))
                record->flags |= RECORD_EXPLICIT;
        if (is_kernels(sk, socket, protocol))
                record->flags |= RECORD_KERNEL;
        if (record->family == AF_INET6) {
                if (BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only))
                        record->flags |= RECORD_V6ONLY;
                bpf_core_read(record->address, 16, &sk->__sk_common.skc_v6_rcv_saddr);
        } else {
                bpf_core_read(record->address, 4, &sk->__sk_common.skc_rcv_saddr);
        }
}

/* ---- processes ---- */

/* The process's number in the loader's namespace; 0: it has none there. */
static __always_inline __u32 read_pid(struct task_struct *leader)
{
        struct pid *pid = BPF_CORE_READ(leader, thread_pid);
        __u32 level = BPF_CORE_READ(pid, level);
        void *numbers = (void *)pid + bpf_core_field_offset(struct pid, numbers);

        for (__u32 i = 0; i < PID_LEVELS_MAX; i++) {
                struct upid *number = numbers + i * bpf_core_type_size(struct upid);

                if (i > level)
                        break;
                if (BPF_CORE_READ(number, ns, ns.inum) == settings.pid_ns)
                        return (__u32)BPF_CORE_READ(number, nr);
        }
        return 0;
}

static __always_inline void read_holder(struct record_holder *record, struct task_struct *leader)
{
        record->started_nsec = BPF_CORE_READ(leader, start_boottime);
        record->pid = read_pid(leader);
        record->uid = BPF_CORE_READ(leader, real_cred, euid.val);
        bpf_core_read(record->comm, sizeof record->comm, &leader->comm);
}

/* ---- control groups ---- */

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
        struct kernfs_node___6_14 *older = (void *)node;

        if (bpf_core_field_exists(node->__parent))
                return BPF_CORE_READ(node, __parent);
        return bpf_core_field_exists(older->parent) ? BPF_CORE_READ(older, parent) : NULL;
}

/* Its path, since it may be gone before anybody looks. */
static __always_inline void read_cgroup(struct record_cgroup *record, struct task_struct *leader)
{
        struct kernfs_node *node = BPF_CORE_READ(leader, cgroups, dfl_cgrp, kn);
        __u64 length = 0; /* as wide as a register: what is tested is what is used */

        record->id = BPF_CORE_READ(node, id);
        record->length = 0;
        for (int i = 0; i < CGROUP_STEPS_MAX; i++) {
                struct kernfs_node *parent = parent_of(node);
                long n;

                if (!parent) { /* the root has no name */
                        record->length = (__u16)length;
                        return;
                }
                if (length > RECORD_CGROUP_MAX - CGROUP_NAME_MAX)
                        return;
                n = bpf_probe_read_kernel_str(&record->path[length], CGROUP_NAME_MAX,
                                              BPF_CORE_READ(node, name));
                if (n <= 0 || n >= CGROUP_NAME_MAX)
                        return;
                length += (__u64)n;
                node = parent;
        }
}

/* ---- executables ---- */

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
        return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* Where a walk up a path is. From the first step on, only helpers write to it: the verifier knows
 * nothing of it then, and does not try each way to come here anew. */
struct walk {
        struct dentry *dentry;
        struct mount *mount;
        struct dentry *top; /* of the mount */
};

static __always_inline void set_mount(struct walk *walk, struct mount *mount)
{
        bpf_core_read(&walk->top, sizeof walk->top, &mount->mnt.mnt_root);
}

/* From the top of a mount to where it is mounted. False where there is nothing above. */
static __always_inline bool leave_mount(struct walk *walk)
{
        struct mount *mount = walk->mount;

        if ((__u32)BPF_CORE_READ(mount, mnt_id) == settings.root_mount)
                return false;
        bpf_core_read(&walk->dentry, sizeof walk->dentry, &mount->mnt_mountpoint);
        bpf_core_read(&walk->mount, sizeof walk->mount, &mount->mnt_parent);
        set_mount(walk, walk->mount);
        return walk->mount != mount;
}

/* Goes from the file up to the loader's root or, in other mount namespaces, to the top of all
 * mounts: what d_path() does for a reader of /proc/PID/exe. Each step is a name or a mount point.
 */
static __always_inline void read_path(struct record_exe *exe, struct file *file)
{
        __u64 length = 0; /* as wide as a register: what is tested is what is used */
        struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
        struct walk walk = {.mount = mount_of(mnt)};
        struct dentry *leaf;

        bpf_core_read(&walk.dentry, sizeof walk.dentry, &file->f_path.dentry);
        set_mount(&walk, walk.mount);
        leaf = walk.dentry;
        if (leaf != walk.top && !BPF_CORE_READ(leaf, d_hash.pprev))
                exe->flags = RECORD_EXE_DELETED;
        for (int i = 0; i < EXE_STEPS_MAX; i++) {
                struct dentry *dentry = walk.dentry;
                long n;

                exe->length = (__u16)length;
                if (dentry == walk.top) {
                        if (!leave_mount(&walk))
                                return;
                        continue;
                }
                if (length > RECORD_EXE_MAX - EXE_NAME_MAX)
                        break;
                n = bpf_probe_read_kernel_str(&exe->path[length], EXE_NAME_MAX,
                                              BPF_CORE_READ(dentry, d_name.name));
                if (n <= 0 || n > EXE_NAME_MAX)
                        break;
                length += (__u64)n;
                bpf_core_read(&walk.dentry, sizeof walk.dentry, &dentry->d_parent);
                if (dentry == walk.dentry) { /* stands alone: a file in memory */
                        exe->flags = RECORD_EXE_UNNAMED;
                        exe->length = (__u16)length;
                        return;
                }
        }
        exe->flags |= RECORD_EXE_TRUNCATED;
}

static __always_inline void read_exe(struct record_exe *exe, struct task_struct *task)
{
        struct file *file = BPF_CORE_READ(task, mm, exe_file);

        exe->inode = 0;
        exe->device = 0;
        exe->length = 0;
        exe->flags = 0;
        if (!file) /* a thread of the kernel */
                return;
        exe->inode = BPF_CORE_READ(file, f_inode, i_ino);
        exe->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
        read_path(exe, file);
}
