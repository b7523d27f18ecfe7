// SPDX-License-Identifier: Apache-2.0
//
// A clause of an RFC as a packet and what must become of it, written by hand,
// run through the programs on a link with Ethernet headers and on one without.
//
//   CheckClauses({{.name = "4.1 TTL: one less",
//                  .direction = Direction::k4to6,
//                  .in = Four({.ttl = 2}).Udp({}).Build(),
//                  .out = {Six({.hop_limit = 1}).Udp({}).Build()}}});
//
// Names begin with the section, of RFC 7915 unless they name another one.
// docs/rfc_conformance.md refers to them.

#ifndef NETPOLICY_CLAT_CLAUSES_CLAUSE_H_
#define NETPOLICY_CLAT_CLAUSES_CLAUSE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bpf_progs/abi/clat.h"
#include "clat/translator_config.h"
#include "clat/translator_object.h"
#include "libpolicy/testing/packet_builder.h"

namespace netpolicy::clat {

// We, and somebody behind the NAT64, in both versions; a router on the way that
// has no IPv4 address.
inline constexpr char kUs4[] = "192.0.0.4";
inline constexpr char kUs6[] = "2001:db8:1234::464";
// Instead of kUs6: adds up to what kUs4 does, as kThem6 does to what kThem4
// does.
inline constexpr char kNeutralUs6[] = "2001:db8:1234::8017";
inline constexpr char kThem4[] = "198.51.100.7";
inline constexpr char kThem6[] = "64:ff9b::c633:6407";
inline constexpr char kRouter6[] = "2001:db8:ffff::1";
inline constexpr char kStandIn4[] = "192.0.0.8";  // RFC 7600

// 64:ff9b::/96, that pair, MTUs of 1500, ICMP errors without a limit.
TranslatorConfig Plain();
// The same with one thing changed.
template <typename Change>
TranslatorConfig With(Change change) {
  TranslatorConfig config = Plain();
  change(config);
  return config;
}

// With kNeutralUs6.
TranslatorConfig Neutral();

struct Clause {
  std::string name;
  Direction direction;
  std::string in;  // an IP packet
  // IP packets; none: it is dropped. An IPv4 identification of 0 without
  // fragmentation fields stands for the translator's choice, which is never 0.
  std::vector<std::string> out;
  // NP_CLAT_*, counted once and nothing else; 0 when there is output:
  // translated in this direction.
  uint32_t outcome = 0;
  TranslatorConfig config = Plain();
};

// Skips the test where programs can't be run.
void CheckClauses(const std::vector<Clause>& clauses);

// A packet from us to them, as it leaves and as it goes on.
netpolicy::testing::PacketBuilder Four(
    netpolicy::testing::Ip4Fields fields = {});
netpolicy::testing::PacketBuilder Six(
    netpolicy::testing::Ip6Fields fields = {});
// A packet from them to us, as it comes and as it arrives.
netpolicy::testing::PacketBuilder SixIn(
    netpolicy::testing::Ip6Fields fields = {});
netpolicy::testing::PacketBuilder FourIn(
    netpolicy::testing::Ip4Fields fields = {});

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_CLAUSES_CLAUSE_H_
