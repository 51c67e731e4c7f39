/* SPDX-License-Identifier: MIT */
#pragma once

/* The few members of the kernel's types that the programs use. Only names count: where each member
 * is in the running kernel is written into the programs when they are loaded (CO-RE). A name with
 * three underscores stands for an older form of the type before them. */

#include <linux/bpf.h>

#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
        unsigned int val;
} kuid_t;

struct ns_common {
        unsigned int inum;
};

/* ---- sockets ---- */

struct net {
        struct ns_common ns;
        __u64 net_cookie;
};

typedef struct {
        struct net *net;
} possible_net_t;

typedef struct {
        long long counter;
} atomic64_t;

struct in6_addr {
        __u8 unused[16];
};

struct sock_common {
        __be32 skc_rcv_saddr;
        __u16 skc_num;
        unsigned short skc_family;
        volatile unsigned char skc_state;
        unsigned char skc_ipv6only : 1;
        int skc_bound_dev_if;
        possible_net_t skc_net;
        struct in6_addr skc_v6_rcv_saddr;
        atomic64_t skc_cookie;
};

struct kernfs_node {
        __u64 id;
        struct kernfs_node *__parent; /* since Linux 6.15 */
        const char *name;
};

struct kernfs_node___6_14 {
        struct kernfs_node *parent;
};

struct cgroup {
        struct kernfs_node *kn;
};

struct sock_cgroup_data {
        struct cgroup *cgroup;
};

struct sock_cgroup_data___5_14 {
        __u64 val;
};

struct super_block {
        unsigned int s_dev;
        unsigned long s_magic;
};

struct inode {
        unsigned short i_mode;
        unsigned long i_ino;
        struct super_block *i_sb;
};

struct file;

struct socket {
        struct file *file;
        struct sock *sk;
};

struct socket_alloc {
        struct socket socket;
        struct inode vfs_inode;
};

struct sock {
        struct sock_common __sk_common;
        unsigned char sk_userlocks : 4;
        __u16 sk_protocol;
        kuid_t sk_uid;
        struct socket *sk_socket;
        struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
        struct sock sk;
        __be16 inet_sport;
};

struct tcp_sock {
        bool is_mptcp;
};

struct mptcp_sock {
        struct sock *first;
};

struct udp_sock {
        struct inet_sock inet;
};

/* ---- processes ---- */

struct pid_namespace {
        struct ns_common ns;
};

struct upid {
        int nr;
        struct pid_namespace *ns;
};

struct pid {
        unsigned int level;
        struct upid numbers[1];
};

struct css_set {
        struct cgroup *dfl_cgrp;
};

struct cred {
        kuid_t euid;
};

struct mnt_namespace {
        struct ns_common ns;
};

struct nsproxy {
        struct mnt_namespace *mnt_ns;
};

struct mm_struct {
        struct file *exe_file;
};

struct fdtable {
        unsigned int max_fds;
        struct file **fd;
        unsigned long *open_fds;
};

struct files_struct {
        struct fdtable *fdt;
};

struct task_struct {
        struct task_struct *group_leader;
        struct pid *thread_pid;
        __u64 start_boottime;
        char comm[16];
        const struct cred *real_cred;
        struct css_set *cgroups;
        struct nsproxy *nsproxy;
        struct mm_struct *mm;
        struct files_struct *files;
        int pid; /* of the thread, in the first namespace */
};

/* ---- files ---- */

struct qstr {
        const unsigned char *name;
};

struct hlist_bl_node {
        struct hlist_bl_node **pprev;
};

struct dentry {
        struct hlist_bl_node d_hash;
        struct dentry *d_parent;
        struct qstr d_name;
};

struct vfsmount {
        struct dentry *mnt_root;
};

struct mount {
        struct mount *mnt_parent;
        struct dentry *mnt_mountpoint;
        struct vfsmount mnt;
        int mnt_id;
};

struct path {
        struct vfsmount *mnt;
        struct dentry *dentry;
};

struct file_operations;

struct file {
        const struct file_operations *f_op;
        struct path f_path;
        struct inode *f_inode;
        void *private_data;
};

/* ---- iterators ---- */

struct seq_file;

struct bpf_iter_meta {
        struct seq_file *seq;
        __u64 session_id;
};

struct bpf_iter__tcp {
        struct bpf_iter_meta *meta;
        struct sock_common *sk_common;
};

struct bpf_iter__udp {
        struct bpf_iter_meta *meta;
        struct udp_sock *udp_sk;
};

struct bpf_iter__task {
        struct bpf_iter_meta *meta;
        struct task_struct *task;
};

#pragma clang attribute pop
