// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_CLAT_WORK_H_
#define NETPOLICY_BPF_PROGS_LIB_CLAT_WORK_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/clat_header.h"
#include "bpf_progs/lib/clat_skb.h"

// What is known of a packet while it is translated, other than quickly. It is
// in this CPU's entry of np_clat_work, as the stacks of all functions that call
// each other must not be over 512 bytes together. The functions that share it
// are global ones, so that the verifier checks each once and not for every way
// that leads to it, and those take only numbers beside the skb. tc programs run
// with softirqs off, and what the translator itself sends meanwhile never gets
// here, as it is of the other IP version.

// The result of such a function: an outcome (NP_CLAT_*), and for one that is
// answered the MTU or pointer to tell.
#define NP_RESULT(outcome, word) ((outcome) | (__u32)(word) << 8)
#define NP_RESULT_OUTCOME(result) ((result)&0xff)
#define NP_RESULT_WORD(result) ((result) >> 8)

#define NP_GLOBAL __attribute__((noinline))

struct np_clat_46 {
  __u64 growth;                 // of what the transport checksum covers
  struct np_ip6 ip6;            // to be
  struct np_fragment fragment;  // to be, right behind it
  struct np_ip4 ip4;            // as it came
  __u32 header_len;             // of the IPv4 header with its options
  __u32 payload;                // bytes behind it
  __u32 l2;
  __u32 protocol;  // to be
  int check_at;    // of the checksum in the payload; -1: nothing to adjust
  int type;        // of the echo to be; -1: none
  int has_check;   // `check` replaces a UDP checksum of 0
  __u16 check;
};

// The extension headers of an IPv6 packet.
struct np_clat_chain {
  struct np_fragment fragment;
  __u32 len;           // of all of them
  __u32 next;          // what is behind them
  __u32 has_fragment;  // `fragment` is one of them, the last
};

struct np_clat_64 {
  __u64 growth;
  struct np_ip6 ip6;  // as it came
  struct np_ip4 ip4;  // to be
  struct np_clat_chain chain;
  __u32 l2;
  __u32 payload;  // bytes behind all headers of IP
  int check_at;
  int type;
};

// The packet in an ICMP error.
struct np_clat_inner {
  __u64 growth;     // of what its checksum covers
  __u32 at;         // where its transport header is in the scratch entry
  __u32 present;    // so much of that and of its payload is there
  __u32 protocol;   // in the new version
  __u32 first;      // not a fragment, or the first one
  int type;         // of the echo to be; -1: none
  __u32 extension;  // bytes of RFC 4884 extensions behind it
  __u32 unit;       // of the RFC 4884 length to be; 0: there is none
  __u32 attribute;  // the RFC 4884 length to be
  struct np_clat_chain chain;  // of an IPv6 packet
};

struct np_clat_work {
  struct np_clat_46 w46;
  struct np_clat_64 w64;
  struct np_clat_inner inner;
  __u32 headers[12];  // of np_clat_read_headers()
};

// Missing entry: impossible (array).
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct np_clat_work);
} np_clat_work SEC(".maps");

static __always_inline struct np_clat_work* np_clat_work_here(void) {
  __u32 zero = 0;

  return bpf_map_lookup_elem(&np_clat_work, &zero);
}

static __always_inline const struct np_clat_instance* np_clat_instance_of(
    struct __sk_buff* skb) {
  __u32 ifindex = skb->ifindex;

  return bpf_map_lookup_elem(&np_clat_inst, &ifindex);
}

// Walks over extension headers from `at` on, at most up to `end`; `next` says
// what the first one is. Fills the work entry's w64.chain, or inner.chain when
// `inside` an ICMP error, where segments left do not matter. Returns 0 or the
// result; when that is NP_CLAT_SEGMENTS_LEFT the chain is complete, too.
#define NP_CLAT_HEADERS 8
#define NP_CLAT_HEADERS_LEN 3900 /* a little below NP_CLAT_ROOM_MAX */

NP_GLOBAL __u32 np_clat_walk(struct __sk_buff* skb, __u32 at, __u32 end,
                             __u32 next, __u32 inside) {
  struct np_clat_work* work = np_clat_work_here();
  struct np_clat_chain* chain;
  __u32 start = at;
  __u32 result = 0;
  int i;

  if (!work) return NP_CLAT_KERNEL;
  chain = inside ? &work->inner.chain : &work->w64.chain;
  chain->has_fragment = 0;
  for (i = 0; i < NP_CLAT_HEADERS; i++) {
    __u8 header[8];

    if (!np_clat_skipped(next)) break;
    if (at + 8 > end || bpf_skb_load_bytes(skb, at, header, sizeof(header)))
      return NP_CLAT_MALFORMED;
    if (next == NP_PROTO_ROUTING && header[3] && !inside && !result)
      result = NP_RESULT(NP_CLAT_SEGMENTS_LEFT, NP_IP6_LEN + at - start + 3);
    next = header[0];
    at += ((__u32)header[1] + 1) * 8;
    if (at > end) return NP_CLAT_MALFORMED;
    if (at - start > NP_CLAT_HEADERS_LEN) return NP_CLAT_EXTENSION_HEADER;
  }
  if (np_clat_skipped(next)) return NP_CLAT_EXTENSION_HEADER;
  if (next == NP_PROTO_FRAGMENT) {
    if (at + NP_FRAGMENT_LEN > end ||
        bpf_skb_load_bytes(skb, at, &chain->fragment, NP_FRAGMENT_LEN))
      return NP_CLAT_MALFORMED;
    at += NP_FRAGMENT_LEN;
    next = chain->fragment.next;
    if (np_clat_is_extension(next)) return NP_CLAT_EXTENSION_HEADER;
    chain->has_fragment = 1;
  }
  chain->next = next;
  chain->len = at - start;
  return result;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_CLAT_WORK_H_
