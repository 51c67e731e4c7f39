/* SPDX-License-Identifier: MIT */
/* The programs in the kernel. Each can be refused by a kernel on its own; what follows from that is
 * in engine-open.c, which knows them by their names.
 *
 * Events go into the ring straight from where the kernel passes; nothing is kept but a mark on UDP
 * sockets whose port the kernel is about to choose. What these programs may not do: cost anything
 * for connections (the first test of each ends it there) or change what the hooks allow (those that
 * decide always say yes). */

#include "daemon/bpf/engine-opener.h"

#include <bpf/bpf_tracing.h>

char program_license[] SEC("license") = "Dual MIT/GPL"; /* helpers ask for it */

struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 1 << 20); /* the loader decides */
} ring SEC(".maps");

/* Marks a UDP socket that is being bound to port 0. */
struct {
        __uint(type, BPF_MAP_TYPE_SK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, __u32);
} chosen SEC(".maps");

__u64 lost;

/* ---- events ---- */

static __always_inline void tell_opened(struct sock *sk, __u64 cookie, __u8 flags)
{
        struct record_event *event = bpf_ringbuf_reserve(&ring, sizeof *event, 0);
        struct task_struct *task = (struct task_struct *)bpf_get_current_task();
        struct task_struct *leader = BPF_CORE_READ(task, group_leader);

        if (!event) {
                __sync_fetch_and_add(&lost, 1);
                return;
        }
        event->time_nsec = bpf_ktime_get_boot_ns();
        event->closed = 0;
        read_socket(&event->socket, sk);
        event->socket.cookie = cookie;
        event->socket.flags |= flags;
        read_holder(&event->holder, leader);
        read_cgroup(&event->cgroup, leader);
        event->mount_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
        read_exe(&event->exe, task);
        bpf_ringbuf_submit(event, 0);
}

static __always_inline void tell_closed(struct sock *sk, __u64 cookie)
{
        struct record_event *event =
            bpf_ringbuf_reserve(&ring, __builtin_offsetof(struct record_event, holder), 0);

        if (!event) {
                __sync_fetch_and_add(&lost, 1);
                return;
        }
        event->time_nsec = bpf_ktime_get_boot_ns();
        event->closed = 1;
        event->mount_ns = 0;
        read_socket(&event->socket, sk);
        event->socket.cookie = cookie;
        bpf_ringbuf_submit(event, 0);
}

/* Every accepted connection passes from LISTEN to another state on its own socket: only LISTEN to
 * CLOSE is the end of a listener. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int old_state, int new_state)
{
        bool closed = old_state == TCP_LISTEN && new_state == TCP_CLOSE;

        if ((new_state != TCP_LISTEN && !closed) || sk->sk_protocol != IPPROTO_TCP)
                return 0;
        if (closed)
                tell_closed(sk, bpf_get_socket_cookie(sk));
        else
                tell_opened(sk, bpf_get_socket_cookie(sk), 0);
        return 0;
}

/* The port that is asked for is seen only at the beginning of bind(2), and whether it succeeds only
 * at the end: the mark goes from one to the other. */
static __always_inline int bind_begins(struct bpf_sock_addr *ctx)
{
        struct bpf_sock *sk = ctx->sk;

        if (!is_datagram((__u16)ctx->protocol) || !sk)
                return 1;
        if (ctx->user_port == 0)
                bpf_sk_storage_get(&chosen, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
        else
                bpf_sk_storage_delete(&chosen, sk);
        return 1;
}

SEC("cgroup/bind4")
int udp_bind4(struct bpf_sock_addr *ctx)
{
        return bind_begins(ctx);
}

SEC("cgroup/bind6")
int udp_bind6(struct bpf_sock_addr *ctx)
{
        return bind_begins(ctx);
}

/* The context of these programs is, in the kernel, the socket itself (__cgroup_bpf_run_filter_sk()
 * hands it on); what struct bpf_sock does not show is read from there. */
static __always_inline struct sock *kernel_socket(struct bpf_sock *ctx)
{
        return (struct sock *)ctx;
}

static __always_inline int bind_ends(struct bpf_sock *ctx)
{
        if (is_datagram((__u16)ctx->protocol) && !bpf_sk_storage_get(&chosen, ctx, NULL, 0))
                tell_opened(kernel_socket(ctx), bpf_get_socket_cookie(ctx), RECORD_EXPLICIT);
        return 1;
}

SEC("cgroup/post_bind4")
int udp_bound4(struct bpf_sock *ctx)
{
        return bind_ends(ctx);
}

SEC("cgroup/post_bind6")
int udp_bound6(struct bpf_sock *ctx)
{
        return bind_ends(ctx);
}

SEC("cgroup/sock_release")
int udp_released(struct bpf_sock *ctx)
{
        struct sock *sk = kernel_socket(ctx);

        if (is_datagram((__u16)ctx->protocol) && is_explicit(sk))
                tell_closed(sk, bpf_get_socket_cookie(ctx));
        return 1;
}

/* ---- lists ---- */

static __always_inline int list(struct bpf_iter_meta *meta, struct sock *sk, __u64 cookie)
{
        struct record_row row;

        __builtin_memset(&row, 0, sizeof row);
        read_socket(&row.socket, sk);
        row.socket.cookie = cookie;
        bpf_seq_write(meta->seq, &row, sizeof row);
        return 0;
}

/* Listeners come first; 1 ends the list before the connections. */
SEC("iter/tcp")
int list_tcp(struct bpf_iter__tcp *ctx)
{
        struct sock_common *sk = ctx->sk_common;

        if (!sk)
                return 0;
        if (sk->skc_state != TCP_LISTEN)
                return 1;
        return list(ctx->meta, (struct sock *)sk, bpf_get_socket_cookie(sk));
}

SEC("iter/udp")
int list_udp(struct bpf_iter__udp *ctx)
{
        struct udp_sock *sk = ctx->udp_sk;

        if (!sk || !waits((struct sock *)sk, IPPROTO_UDP))
                return 0;
        return list(ctx->meta, (struct sock *)sk, bpf_get_socket_cookie(sk));
}
