// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_LIB_GSO_LENGTH_H_
#define NETPOLICY_BPF_PROGS_LIB_GSO_LENGTH_H_

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_helpers.h>

// How many packets a GSO or GRO skb is on the wire beyond one, and how many
// bytes of repeated headers that makes: every segment carries the network and
// the transport header. `start` is where the network header is: 0 at a socket,
// behind the link's header at an interface.

#define NP_GSO_BY_FRAGS \
  0xffff /* include/linux/skbuff.h: gso_size says nothing (SCTP) */
#define NP_IPV6_HEADER_LEN 40
#define NP_IPV6_JUMBO_LEN 8

struct np_extra {
  __u32 packets;
  __s32 bytes;  // negative when segmentation removes the IPv6 jumbo option
};

// The part of the headers that each fragment or segment repeats.
struct np_network {
  __u32 len;      // of the network header
  __u32 removed;  // what segmentation takes away behind it
  __u8 version;   // 4 or 6
  __u8 transport;
};

// Returns -1 when the packet is not IP.
static __always_inline int np_parse_network(struct __sk_buff* skb, __u32 start,
                                            struct np_network* network) {
  __u8 first[8];

  network->removed = 0;
  if (bpf_skb_load_bytes(skb, start, first, sizeof(first))) return -1;
  network->version = first[0] >> 4;
  if (network->version == 4) {
    network->len = (first[0] & 0xf) * 4;
    return bpf_skb_load_bytes(skb, start + 9, &network->transport, 1);
  }
  if (network->version != 6) return -1;
  network->len = NP_IPV6_HEADER_LEN;
  network->transport = first[6];
  if (network->transport == IPPROTO_HOPOPTS && first[4] == 0 && first[5] == 0) {
    // BIG TCP: the stack adds a jumbo payload option to super-packets and takes
    // it off again when it cuts them up (ipv6_hopopt_jumbo_remove() in the
    // kernel).
    network->removed = NP_IPV6_JUMBO_LEN;
    return bpf_skb_load_bytes(skb, start + NP_IPV6_HEADER_LEN,
                              &network->transport, 1);
  }
  return 0;
}

// Returns -1, and leaves `extra` as it is, when the headers are not understood.
static __always_inline int np_gso_extra(struct __sk_buff* skb, __u32 start,
                                        const struct np_network* network,
                                        struct np_extra* extra) {
  __u32 header_len = network->len;
  __u32 removed = network->removed;
  __u32 gso_size = skb->gso_size;
  __u32 len = skb->len - start;
  __u32 segments;
  __u8 data_offset;

  if (network->transport == IPPROTO_TCP) {
    if (bpf_skb_load_bytes(skb, start + header_len + removed + 12, &data_offset,
                           1))
      return -1;
    header_len += (data_offset >> 4) * 4;
  } else if (network->transport == IPPROTO_UDP) {
    header_len += 8;
  } else if (network->transport == IPPROTO_SCTP) {
    header_len += 12;
  } else {
    return -1;
  }
  if (len <= header_len + removed) return -1;

  // Not gso_segs: drivers and tun leave it 0 (SKB_GSO_DODGY).
  if (gso_size == NP_GSO_BY_FRAGS)
    segments = skb->gso_segs;
  else
    segments = (len - removed - header_len + gso_size - 1) / gso_size;
  if (segments > 1) {
    extra->packets = segments - 1;
    extra->bytes = (segments - 1) * header_len;
  }
  extra->bytes -= removed;
  return 0;
}

#endif  // NETPOLICY_BPF_PROGS_LIB_GSO_LENGTH_H_
