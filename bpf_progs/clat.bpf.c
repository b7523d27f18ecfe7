// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// The translator of 464XLAT (RFC 6877, 7915), at tc: np_clat46_* at an uplink's
// egress turn the IPv4 packets of our own addresses into IPv6 packets,
// np_clat64_* at its ingress turn the answers back. *_eth are for links with
// Ethernet headers, *_raw for those without any. Loaded and attached by the
// clat package.
//
// What is not translated here goes on to the next program untouched, and so
// does what has been translated.

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

#include "bpf_progs/lib/clat_program.h"

SEC("tc")
int np_clat46_eth(struct __sk_buff* skb) { return np_clat46(skb, ETH_HLEN); }

SEC("tc")
int np_clat46_raw(struct __sk_buff* skb) { return np_clat46(skb, 0); }

SEC("tc")
int np_clat64_eth(struct __sk_buff* skb) { return np_clat64(skb, ETH_HLEN); }

SEC("tc")
int np_clat64_raw(struct __sk_buff* skb) { return np_clat64(skb, 0); }

char _license[] SEC("license") = "GPL";
