// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// Whether what the kernel takes for the sum of a whole packet
// (CHECKSUM_COMPLETE) is that: at an Ethernet interface's ingress, behind what
// is to be tested. Packets in one piece, of up to 2048 bytes.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#define CHUNK 128

enum { RIGHT, WRONG, NO_SUM, VERDICTS };

// IPv4 packets by verdict, then IPv6 packets, then all others.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 3 * VERDICTS);
  __type(key, __u32);
  __type(value, __u64);
} np_checksum_complete SEC(".maps");

static __always_inline __u32 fold(__u64 sum) {
  int i;

#pragma unroll
  for (i = 0; i < 4; i++) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff ? 0 : (__u32)sum;
}

static __always_inline __u32 verdict(struct __sk_buff* skb) {
  __u32 left = skb->len - ETH_HLEN;
  __u32 at = ETH_HLEN;
  __s64 of_kernel;
  __s64 sum = 0;
  int i;

  // Adds nothing, and says what there is.
  of_kernel = bpf_csum_update(skb, 0);
  if (of_kernel < 0) return NO_SUM;
  for (i = 0; i < 2048 / CHUNK && left; i++) {
    __u8 bytes[CHUNK] = {};
    __u32 less = left - 1;

    if (left >= CHUNK) {
      if (bpf_skb_load_bytes(skb, at, bytes, CHUNK)) return WRONG;
      at += CHUNK;
      left -= CHUNK;
    } else {
      // For old verifiers, which learn nothing of `left != 0`.
      asm volatile("" : "+r"(less));
      if (less >= CHUNK - 1 || bpf_skb_load_bytes(skb, at, bytes, less + 1))
        return WRONG;
      left = 0;
    }
    sum = bpf_csum_diff(0, 0, (__be32*)bytes, CHUNK, (__u32)sum);
  }
  return !left && fold((__u64)of_kernel) == fold((__u64)sum) ? RIGHT : WRONG;
}

SEC("tc")
int np_check_complete(struct __sk_buff* skb) {
  __u32 key = verdict(skb);
  __u64* counter;

  if (skb->protocol == __builtin_bswap16(ETH_P_IPV6))
    key += VERDICTS;
  else if (skb->protocol != __builtin_bswap16(ETH_P_IP))
    key += 2 * VERDICTS;
  counter = bpf_map_lookup_elem(&np_checksum_complete, &key);
  if (counter) __sync_fetch_and_add(counter, 1);
  return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
