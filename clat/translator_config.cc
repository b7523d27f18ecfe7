// SPDX-License-Identifier: Apache-2.0

#include "clat/translator_config.h"

#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace netpolicy::clat {
namespace {

using Faults = std::vector<std::string>;

np_in6 ToWire(const Ipv6Address& address) {
  np_in6 wire;
  std::memcpy(&wire, address.bytes.data(), sizeof(wire));
  return wire;
}

__be32 ToWire(const Ipv4Address& address) {
  __be32 wire;
  std::memcpy(&wire, address.bytes.data(), sizeof(wire));
  return wire;
}

// The pairs are mappings, too.
std::vector<PrefixPair> AllMappings(const TranslatorConfig& config) {
  std::vector<PrefixPair> all;
  for (const AddressPair& pair : config.pairs) {
    all.push_back({{pair.ip4, 32}, {pair.ip6, 128}});
  }
  all.insert(all.end(), config.mappings.begin(), config.mappings.end());
  return all;
}

void CheckMappings(const std::vector<PrefixPair>& all, Faults& faults) {
  if (all.empty()) faults.push_back("pairs: there are none, and no mappings");
  for (size_t i = 0; i < all.size(); ++i) {
    const PrefixPair& one = all[i];
    const std::string name =
        absl::StrCat(one.ip4.ToString(), "=", one.ip6.ToString());
    if (32 - one.ip4.length > 128 - one.ip6.length) {
      faults.push_back(
          absl::StrCat("mapping ", name,
                       ": the IPv6 suffix is shorter than the IPv4 "
                       "suffix"));
    }
    if (one.ip4.length == 32 && one.ip4.address == Ipv4Address{}) {
      faults.push_back(absl::StrCat("mapping ", name, ": no address"));
    }
    if (one.ip6.length == 128 && one.ip6.address == Ipv6Address{}) {
      faults.push_back(absl::StrCat("mapping ", name, ": no address"));
    }
    for (size_t j = 0; j < i; ++j) {
      if (all[j].ip4 == one.ip4 || all[j].ip6 == one.ip6) {
        faults.push_back(absl::StrCat("mapping ", name, ": mapped twice"));
      }
    }
  }
}

}  // namespace

absl::StatusOr<InstanceImage> Compile(const TranslatorConfig& config,
                                      IfIndex ifindex, uint32_t slot) {
  const std::vector<PrefixPair> all = AllMappings(config);
  Faults faults;
  CheckMappings(all, faults);
  if (config.mtu4 != 0 && (config.mtu4 < 68 || config.mtu4 > 65535)) {
    faults.push_back("mtu4: neither 0 nor 68 to 65535");
  }
  if (config.mtu6 < 1280 || config.mtu6 > 65575) {
    faults.push_back("mtu6: not 1280 to 65575");
  }
  if (config.lowest_ipv6_mtu < 1280 || config.lowest_ipv6_mtu > 65575) {
    faults.push_back("lowest_ipv6_mtu: not 1280 to 65575");
  }
  if (config.icmp_source4.length < 8) {
    faults.push_back("icmp_source4: length is below 8");
  }
  if (config.icmp_burst == 0) faults.push_back("icmp_burst: is 0");
  if (slot >= NP_CLAT_SLOTS) faults.push_back("slot: too many uplinks");
  if (!faults.empty()) {
    const std::string where = absl::StrCat("uplink ", ToInt(ifindex), ": ");
    return absl::InvalidArgumentError(
        absl::StrCat(where, absl::StrJoin(faults, absl::StrCat("\n", where))));
  }

  InstanceImage image{};
  np_clat_instance& instance = image.instance;
  instance.prefix = ToWire(config.prefix.prefix().address);
  instance.prefix_len = static_cast<uint32_t>(config.prefix.prefix().length);
  if (!config.pairs.empty()) {
    instance.local4 = ToWire(config.pairs[0].ip4);
    instance.local6 = ToWire(config.pairs[0].ip6);
  }
  if (config.icmp_source6.has_value()) {
    instance.icmp_source6 = ToWire(*config.icmp_source6);
  }
  instance.icmp_source4 = ToWire(config.icmp_source4.address);
  instance.icmp_source4_count = 1U << (32 - config.icmp_source4.length);
  instance.slot = slot;
  instance.mtu4 = config.mtu4;
  instance.mtu6 = config.mtu6;
  instance.lowest_ipv6_mtu = config.lowest_ipv6_mtu;
  instance.icmp_per_second = config.icmp_per_second.value_or(NP_CLAT_UNLIMITED);
  instance.icmp_burst = config.icmp_burst;
  if (config.hop_count == HopCount::kCopy) instance.flags |= NP_CLAT_TTL_COPY;
  if (config.udp_zero == ZeroChecksum::kDrop) {
    instance.flags |= NP_CLAT_UDP_ZERO_DROP;
  }
  if (config.prefix.IsWellKnown() &&
      config.not_global != NotGlobal::kTranslate) {
    instance.flags |= NP_CLAT_GLOBAL_ONLY;
    if (config.not_global == NotGlobal::kDropWithDocumentation) {
      instance.flags |= NP_CLAT_NO_DOCUMENTATION;
    }
  }
  if (all.size() == 1 && config.mappings.empty()) return image;
  instance.flags |= NP_CLAT_MAPPINGS;
  for (const PrefixPair& one : all) {
    InstanceImage::Mapping mapping{};
    mapping.key4 = {static_cast<uint32_t>(32 + one.ip4.length), ToInt(ifindex),
                    ToWire(one.ip4.address)};
    mapping.key6 = {static_cast<uint32_t>(32 + one.ip6.length), ToInt(ifindex),
                    ToWire(one.ip6.address)};
    mapping.value.prefix4 = ToWire(one.ip4.address);
    mapping.value.prefix6 = ToWire(one.ip6.address);
    mapping.value.len4 = static_cast<uint8_t>(one.ip4.length);
    mapping.value.len6 = static_cast<uint8_t>(one.ip6.length);
    image.mappings.push_back(mapping);
  }
  return image;
}

}  // namespace netpolicy::clat
