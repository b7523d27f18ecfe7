// SPDX-License-Identifier: Apache-2.0
//
// How one uplink translates: what bpf_progs/abi/clat.h calls an instance, as a
// value with names, validated before it goes to the kernel.
//
//   TranslatorConfig config{.prefix = prefix, .pairs = {{local4, local6}}};
//   NP_ASSIGN_OR_RETURN(InstanceImage image, Compile(config, ifindex, slot));

#ifndef NETPOLICY_CLAT_TRANSLATOR_CONFIG_H_
#define NETPOLICY_CLAT_TRANSLATOR_CONFIG_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "bpf_progs/abi/clat.h"
#include "clat/address.h"
#include "clat/prefix.h"
#include "libpolicy/model/ids.h"

namespace netpolicy::clat {

// One IPv4 address of ours and the IPv6 address that stands for it.
struct AddressPair {
  Ipv4Address ip4;
  Ipv6Address ip6;

  auto operator<=>(const AddressPair&) const = default;
};

// An explicit mapping of prefixes (RFC 7757): the IPv4 suffix follows the IPv6
// prefix.
struct PrefixPair {
  Ipv4Prefix ip4;
  Ipv6Prefix ip6;

  auto operator<=>(const PrefixPair&) const = default;
};

// What happens to UDP over IPv4 without a checksum (RFC 7915, 4.5).
enum class ZeroChecksum : uint8_t { kCompute, kDrop };

// Whether the translator counts as a hop (RFC 7915, 4.1).
enum class HopCount : uint8_t { kDecrement, kCopy };

// Which addresses 64:ff9b::/96 may hold (RFC 6052, 3.1). The RFC forbids
// private and documentation addresses; the latter are only seen where somebody
// tries something out, so that the default lets them pass.
enum class NotGlobal : uint8_t { kDrop, kDropWithDocumentation, kTranslate };

struct TranslatorConfig {
  Pref64 prefix;
  // At least one of a pair and a mapping. No address in two of them.
  std::vector<AddressPair> pairs = {};
  std::vector<PrefixPair> mappings = {};

  // MTUs in bytes of the IP packet. mtu4, of the hop behind the translation to
  // IPv4: from 68, 0: let the stack judge. The others: from 1280.
  uint32_t mtu4 = 0;
  uint32_t mtu6 = 1500;
  uint32_t lowest_ipv6_mtu = 1280;

  ZeroChecksum udp_zero = ZeroChecksum::kCompute;
  HopCount hop_count = HopCount::kDecrement;
  NotGlobal not_global = NotGlobal::kDrop;

  // Senders of ICMPv6 errors without an IPv4 address get one of these (RFC
  // 6791), ICMPv4 errors made here the first. Default: RFC 7600's dummy.
  Ipv4Prefix icmp_source4{{{192, 0, 0, 8}}, 32};
  // Of ICMPv6 errors made here; not given: the address that the packet had been
  // sent to.
  std::optional<Ipv6Address> icmp_source6 = std::nullopt;

  // ICMP errors made here, per CPU. Not given: no limit. 0: none.
  std::optional<uint32_t> icmp_per_second = 100;
  uint32_t icmp_burst = 50;
};

// An instance as the tables hold it.
struct InstanceImage {
  np_clat_instance instance;
  struct Mapping {
    np_clat_eam4_key key4;
    np_clat_eam6_key key6;
    np_clat_eam value;
  };
  std::vector<Mapping> mappings;
};

// Errors: kInvalidArgument, with a line for each fault: `uplink 3: mtu6: ...`.
absl::StatusOr<InstanceImage> Compile(const TranslatorConfig& config,
                                      IfIndex ifindex, uint32_t slot);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_TRANSLATOR_CONFIG_H_
