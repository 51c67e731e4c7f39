/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading sockets, for all programs: they differ in what the verifier knows of a pointer, and
 * reading with a check at run time works for each kind of it. */

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

static __always_inline bool is_inet(const struct sock *sk)
{
        __u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

        return family == AF_INET || family == AF_INET6;
}

static __always_inline bool is_datagram(__u16 protocol)
{
        return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
}

/* What portwatch watches: TCP that listens, UDP with a port that is not connected. */
static __always_inline bool waits(struct sock *sk, __u16 protocol)
{
        unsigned char state = BPF_CORE_READ(sk, __sk_common.skc_state);

        if (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
                return state == TCP_LISTEN;
        return is_datagram(protocol) && state == TCP_CLOSE &&
               BPF_CORE_READ(sk, __sk_common.skc_num) != 0;
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
static __always_inline bool is_kernels(struct sock *sk, struct socket *socket, __u8 protocol)
{
        struct tcp_sock *tcp = (struct tcp_sock *)sk;

        if (!socket || BPF_CORE_READ(socket, file))
                return false;
        return protocol != IPPROTO_TCP || !bpf_core_field_exists(tcp->is_mptcp) ||
               !BPF_CORE_READ(tcp, is_mptcp);
}

/* Where it is, and whose. */
static __always_inline void read_endpoint(struct record_socket *record, struct sock *sk)
{
        struct net *net;

        __builtin_memset(record, 0, sizeof *record);
        record->uid = BPF_CORE_READ(sk, sk_uid.val);
        record->ifindex = (__u32)BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
        record->port = BPF_CORE_READ(sk, __sk_common.skc_num);
        record->family = (__u8)BPF_CORE_READ(sk, __sk_common.skc_family);
        record->protocol = (__u8)BPF_CORE_READ(sk, sk_protocol);
        if (is_explicit(sk))
                record->flags |= RECORD_EXPLICIT;
        if (record->family == AF_INET6) {
                if (BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only))
                        record->flags |= RECORD_V6ONLY;
                if (bpf_core_field_exists(sk->__sk_common.skc_v6_rcv_saddr))
                        bpf_core_read(record->address, 16, &sk->__sk_common.skc_v6_rcv_saddr);
        } else {
                bpf_core_read(record->address, 4, &sk->__sk_common.skc_rcv_saddr);
        }
        record->cgroup_id = socket_cgroup(sk);
        net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
        record->netns = BPF_CORE_READ(net, ns.inum);
        if (bpf_core_field_exists(net->net_cookie)) /* since Linux 5.12 */
                record->netns_id = BPF_CORE_READ(net, net_cookie);
}

/* Everything but the cookie, which each kind of program asks for in its own way. */
static __always_inline void read_socket(struct record_socket *record, struct sock *sk)
{
        struct socket *socket = BPF_CORE_READ(sk, sk_socket);

        read_endpoint(record, sk);
        if (socket)
                record->inode = BPF_CORE_READ((struct socket_alloc *)socket, vfs_inode.i_ino);
        /* At the end of a listener whose port the kernel had chosen only this one is left. */
        if (record->port == 0)
                record->port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
        if (is_kernels(sk, socket, record->protocol))
                record->flags |= RECORD_KERNEL;
}
