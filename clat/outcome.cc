// SPDX-License-Identifier: Apache-2.0

#include "clat/outcome.h"

#include "bpf_progs/abi/clat.h"

namespace netpolicy::clat {
namespace {

struct Entry {
  uint32_t outcome;
  absl::string_view name;
  absl::string_view text;
};

constexpr Entry kEntries[] = {
    {NP_CLAT_NOT_OURS, "not_ours", "not ours, left alone"},
    {NP_CLAT_TRANSLATED_46, "translated_46", "translated to IPv6"},
    {NP_CLAT_TRANSLATED_64, "translated_64", "translated to IPv4"},
    {NP_CLAT_SPLIT_46, "split_46", "split into IPv6 fragments"},
    {NP_CLAT_SPLIT_64, "split_64", "split into IPv4 fragments"},
    {NP_CLAT_MALFORMED, "malformed", "malformed or too short"},
    {NP_CLAT_SOURCE, "source", "source address can't be translated"},
    {NP_CLAT_DESTINATION, "destination",
     "destination address can't be translated"},
    {NP_CLAT_NOT_GLOBAL, "not_global",
     "64:ff9b::/96 must not hold a private address"},
    {NP_CLAT_TTL, "ttl_exceeded", "TTL or hop limit has run out"},
    {NP_CLAT_SOURCE_ROUTE, "source_route", "unexpired source route"},
    {NP_CLAT_SEGMENTS_LEFT, "segments_left",
     "Routing header with segments left"},
    {NP_CLAT_TOO_BIG, "too_big", "too big, and must not be fragmented"},
    {NP_CLAT_PROTOCOL, "protocol", "protocol of the other IP version"},
    {NP_CLAT_UDP_ZERO, "udp_zero", "UDP without a checksum"},
    {NP_CLAT_UDP_ZERO_FRAGMENT, "udp_zero_fragment",
     "fragmented UDP without a checksum"},
    {NP_CLAT_ICMP_TYPE, "icmp_type", "ICMP message without a counterpart"},
    {NP_CLAT_ICMP_FRAGMENT, "icmp_fragment", "fragmented ICMP"},
    {NP_CLAT_ICMP_NESTED, "icmp_nested", "ICMP error about an ICMP error"},
    {NP_CLAT_ICMP_INNER, "icmp_inner",
     "packet inside the ICMP error can't be translated"},
    {NP_CLAT_EXTENSION_HEADER, "extension_header",
     "extension header behind a Fragment header, or too many"},
    {NP_CLAT_TOO_LONG, "too_long", "jumbogram, or over 65535 bytes"},
    {NP_CLAT_CANNOT_SPLIT, "cannot_split",
     "too long, or too many fragments to make"},
    {NP_CLAT_KERNEL, "kernel", "the kernel refused to change the packet"},
};

}  // namespace

absl::string_view OutcomeName(uint32_t outcome) {
  for (const Entry& entry : kEntries) {
    if (entry.outcome == outcome) return entry.name;
  }
  return "unknown";
}

absl::string_view OutcomeText(uint32_t outcome) {
  for (const Entry& entry : kEntries) {
    if (entry.outcome == outcome) return entry.text;
  }
  return "unknown";
}

}  // namespace netpolicy::clat
