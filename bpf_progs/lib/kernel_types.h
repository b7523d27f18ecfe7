// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_KERNEL_TYPES_H_
#define NETPOLICY_BPF_PROGS_LIB_KERNEL_TYPES_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// The few fields of kernel structs that the programs read. libbpf finds where
// they are in the running kernel (CO-RE), so only the names matter, not the
// layout.

#pragma clang attribute push(__attribute__((preserve_access_index)), \
                             apply_to = record)

struct kuid_t___np {
  __u32 val;
};

struct sock___np {
  struct kuid_t___np sk_uid;
  __u8 sk_kern_sock : 1;
  void* sk_socket;
};

struct inet6_dev___np;

struct ns_common___np {
  unsigned int inum;
};

struct net___np {
  struct ns_common___np ns;
};

// possible_net_t, which has no name that CO-RE could find.
struct nd_net___np {
  struct net___np* net;
};

struct net_device___np {
  char name[16];
  unsigned int mtu;
  struct nd_net___np nd_net;
  struct inet6_dev___np* ip6_ptr;
};

struct ipv6_devconf___np {
  __s32 mtu6;
};

struct inet6_dev___np {
  struct ipv6_devconf___np cnf;
};

struct dst_entry___np {
  struct net_device___np* dev;
  unsigned long _metrics;
  unsigned long expires;
};

struct rtable___np {
  struct dst_entry___np dst;
  __u32 rt_mtu_locked : 1, rt_pmtu : 31;
};

struct sk_buff___np {
  struct net_device___np* dev;
  unsigned long _skb_refdst;
  struct sock___np* sk;
  char cb[48];
  __u8 encapsulation : 1;
};

struct inet_skb_parm___np {
  __u16 frag_max_size;
};

struct inet6_skb_parm___np {
  __u16 frag_max_size;
};

#pragma clang attribute pop

// The sk_buff behind a program's context. The two have one address, but the
// verifier refuses arithmetic on a context; what a helper copied from the stack
// is a plain number to it.
static __always_inline struct sk_buff___np* np_kernel_skb(
    struct __sk_buff* skb) {
  void* const address = skb;
  struct sk_buff___np* number = 0;

  bpf_probe_read_kernel(&number, sizeof(number), &address);
  return number;
}

// The same, which the verifier knows to be a struct sk_buff: its fields, and
// those of what it points to, are read by plain loads (a null pointer on the
// way reads as 0), each a twentieth of the cost of bpf_probe_read_kernel().
// Linux 6.2.
extern void* bpf_cast_to_kern_ctx(void* ctx) __ksym __weak;

static __always_inline struct sk_buff___np* np_typed_skb(
    struct __sk_buff* skb) {
  return bpf_cast_to_kern_ctx(skb);
}

#endif  // NETPOLICY_BPF_PROGS_LIB_KERNEL_TYPES_H_
