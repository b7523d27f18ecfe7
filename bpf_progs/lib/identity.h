// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_IDENTITY_H_
#define NETPOLICY_BPF_PROGS_LIB_IDENTITY_H_

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf_progs/abi/policy.h"
#include "bpf_progs/lib/kernel_types.h"

// Whether cgroup_skb programs can use np_typed_skb(). Set by libpolicy before
// loading, from a probe.
const volatile bool np_has_typed_skb = false;

// The owner of the skb's socket when it has no storage: the UID in struct sock,
// which is in the initial user namespace, unlike what bpf_get_socket_uid()
// returns (that of the network namespace's owner, so that a container could
// pass for any UID of the host). The kernel's own sockets, which answer pings
// and closed ports, look for neighbours and carry tunnels, have the UID of
// whoever made the network namespace there; nobody owns them. (What stands for
// a socket in BPF_PROG_TEST_RUN is a kernel's, too, but has no struct socket.)
static __always_inline __u32 np_socket_owner(struct __sk_buff* skb) {
  const struct sock___np* sk;

  if (!skb->sk) return NP_UID_NONE;
  if (np_has_typed_skb) {
    sk = np_typed_skb(skb)->sk;
    if (!sk) return NP_UID_NONE;  // as the verifier wants it
    if (BPF_CORE_READ_BITFIELD(sk, sk_kern_sock) && sk->sk_socket)
      return NP_UID_NONE;
    return sk->sk_uid.val;
  }
  sk = BPF_CORE_READ(np_kernel_skb(skb), sk);
  if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock) &&
      BPF_CORE_READ(sk, sk_socket))
    return NP_UID_NONE;
  return BPF_CORE_READ(sk, sk_uid.val);
}

// The same of the socket that a system call is about.
static __always_inline __u32 np_call_owner(struct bpf_sock_addr* ctx) {
  void* const address = ctx->sk;
  struct sock___np* sk = 0;

  if (!address) return NP_UID_NONE;
  // As in np_kernel_skb().
  bpf_probe_read_kernel(&sk, sizeof(sk), &address);
  return BPF_CORE_READ(sk, sk_uid.val);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_IDENTITY_H_
