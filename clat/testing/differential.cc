// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/differential.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "clat/outcome.h"
#include "clat/testing/random_packet.h"
#include "clat/testing/reference_bytes.h"
#include "clat/testing/reference_translator.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::clat::testing {
namespace {

constexpr size_t kMostDifferences = 10;
// A configuration for so many packets, then the next one.
constexpr uint64_t kTurn = 500;

const std::string& MacA() {
  static const auto* mac = new std::string("\x02\x00\x00\x00\x00\x0a", 6);
  return *mac;
}
const std::string& MacB() {
  static const auto* mac = new std::string("\x02\x00\x00\x00\x00\x0b", 6);
  return *mac;
}

std::string EtherType(int version) {
  return version == 6 ? std::string("\x86\xdd", 2) : std::string("\x08\x00", 2);
}

int VersionOf(absl::string_view packet) {
  return packet.empty() ? 0 : static_cast<int>(Get8(packet, 0) >> 4);
}

int VersionBefore(Direction direction) {
  return direction == Direction::k4to6 ? 4 : 6;
}

// Takes the identification that the translator chose out of a packet.
absl::StatusOr<uint32_t> TakeIdentification(std::string& packet) {
  if (packet.size() < 20 || Get8(packet, 0) != 0x45) {
    return absl::InternalError("not IPv4");
  }
  const uint32_t id = Get16(packet, 4);
  Put16(packet, 4, 0);
  Put16(packet, 10, 0);
  Put16(packet, 10, Complement(Sum(absl::string_view(packet).substr(0, 20))));
  return id;
}

std::string Hex(const std::vector<std::string>& packets) {
  std::string out;
  for (const std::string& packet : packets) {
    absl::StrAppend(&out, "    ", absl::BytesToHexString(packet), "\n");
  }
  return packets.empty() ? "    nothing\n" : out;
}

// Where a packet ends by its own account.
size_t LengthInHeader(absl::string_view packet) {
  if (packet.size() < 6) return packet.size();
  return Get8(packet, 0) >> 4 == 6 ? Get16(packet, 4) + 40 : Get16(packet, 2);
}

// Removes the link's headers; says what is wrong with them.
std::string Unframe(LinkType link, Direction direction,
                    std::vector<std::string>& packets, bool answered,
                    bool untouched) {
  if (link == LinkType::kRawIp) return "";
  for (std::string& packet : packets) {
    if (packet.size() < 14) return "frame too short";
    const std::string macs = packet.substr(0, 12);
    if (macs != (answered ? MacB() + MacA() : MacA() + MacB())) {
      return "wrong MAC addresses";
    }
    const std::string type = packet.substr(12, 2);
    packet.erase(0, 14);
    if (type !=
        EtherType(untouched ? VersionBefore(direction) : VersionOf(packet))) {
      return "wrong type of frame";
    }
  }
  return "";
}

}  // namespace

std::string Frame(LinkType link, Direction direction,
                  absl::string_view packet) {
  if (link == LinkType::kRawIp) return std::string(packet);
  return absl::StrCat(MacA(), MacB(), EtherType(VersionBefore(direction)),
                      packet);
}

std::vector<NamedConfig> AllConfigs() {
  const auto ip4 = [](const char* text) { return *Ipv4Address::Parse(text); };
  const auto ip6 = [](const char* text) { return *Ipv6Address::Parse(text); };
  const auto net4 = [](const char* text) { return *Ipv4Prefix::Parse(text); };
  const auto net6 = [](const char* text) { return *Ipv6Prefix::Parse(text); };
  const AddressPair pair{ip4("192.0.0.4"), ip6("2001:db8:1234::464")};
  const auto plain = [&](const char* prefix) {
    TranslatorConfig config{.prefix = *Pref64::Parse(prefix)};
    config.pairs = {pair};
    config.mtu4 = 1500;
    config.icmp_per_second = std::nullopt;
    return config;
  };
  std::vector<NamedConfig> all;
  all.push_back({"well-known prefix", plain("64:ff9b::/96")});
  for (const char* prefix :
       {"2001:db8::/32", "2001:db8:100::/40", "2001:db8:122::/48",
        "2001:db8:122:300::/56", "2001:db8:122:344::/64",
        "2001:db8:122:344::/96"}) {
    all.push_back({prefix, plain(prefix)});
  }
  {
    // As the address plan makes them: nothing of a transport checksum changes.
    TranslatorConfig config = plain("64:ff9b::/96");
    config.pairs = {{pair.ip4, ip6("2001:db8:1234::8017")}};
    all.push_back({"checksum-neutral pair", config});
  }
  {
    TranslatorConfig config = plain("64:ff9b::/96");
    config.not_global = NotGlobal::kDropWithDocumentation;
    config.mtu4 = 0;
    config.mtu6 = 9000;
    config.icmp_source4 = net4("192.0.2.64/27");
    config.udp_zero = ZeroChecksum::kDrop;
    all.push_back({"strict, pool, jumbo frames", config});
  }
  {
    TranslatorConfig config = plain("64:ff9b::/96");
    config.not_global = NotGlobal::kTranslate;
    config.mtu4 = 576;
    config.mtu6 = 1400;
    config.lowest_ipv6_mtu = 1400;
    config.icmp_source6 = ip6("2001:db8::c1a7");
    all.push_back({"small MTU", config});
  }
  {
    TranslatorConfig config = plain("2001:db8:122:344::/96");
    config.hop_count = HopCount::kCopy;
    config.mtu4 = 1280;
    config.mtu6 = 1280;
    all.push_back({"copied TTL, least MTU", config});
  }
  {
    TranslatorConfig config = plain("64:ff9b::/96");
    config.pairs.push_back({ip4("192.0.0.5"), ip6("2001:db8:1234::465")});
    config.mappings = {{net4("192.0.2.0/28"), net6("2001:db8:cccc::/124")},
                       {net4("192.0.2.128/26"), net6("2001:db8:dddd::/64")},
                       {net4("192.0.2.192/29"), net6("2001:db8:eeee:8::/62")},
                       {net4("192.0.2.224/31"), net6("64:ff9b::/127")},
                       {net4("192.0.2.225/32"), net6("2001:db8:aaaa::/128")}};
    all.push_back({"explicit mappings", config});
  }
  return all;
}

absl::StatusOr<std::string> Compare(Sandbox& sandbox, LinkType link,
                                    const TranslatorConfig& config,
                                    Direction direction,
                                    absl::string_view packet,
                                    uint32_t* outcome) {
  NP_ASSIGN_OR_RETURN(Sandbox::Result result,
                      sandbox.Run(direction, Frame(link, direction, packet)));
  if (outcome != nullptr) *outcome = result.outcome;
  Reference want = Translate(config, direction, packet);
  std::vector<std::string> got;
  for (Sandbox::Packet& one : result.packets) {
    got.push_back(std::move(one.bytes));
  }
  const bool untouched = result.outcome == NP_CLAT_NOT_OURS;
  const bool answered = result.outcome >= NP_CLAT_FIRST_DROP;
  std::string wrong = Unframe(link, direction, got, answered, untouched);
  const std::vector<std::string> as_sent = got;
  // The kernel does not always let a program take padding off.
  if (!untouched && LengthInHeader(packet) < packet.size()) {
    for (std::string& one : got) {
      one.resize(std::min(one.size(), LengthInHeader(one)));
    }
  }
  if (wrong.empty() && !untouched) {
    for (const std::string& one : got) {
      // A wrong checksum stays wrong; a right one must not become so.
      const std::string fault = FindFault(one);
      if (!fault.empty() &&
          (fault != "transport checksum" && fault != "no checksum" &&
           fault != "IPv4: fragment length" &&
           fault != "IPv6: fragment length" &&
           fault != "IPv4: DF in a fragment")) {
        wrong = absl::StrCat("unsound: ", fault);
      }
    }
  }
  if (wrong.empty() && want.free_identification && !got.empty()) {
    uint32_t first = 0;
    for (size_t i = 0; i < got.size() && wrong.empty(); ++i) {
      absl::StatusOr<uint32_t> id = TakeIdentification(got[i]);
      if (!id.ok()) {
        wrong = std::string(id.status().message());
      } else if (i == 0) {
        first = *id;
        if (first == 0) wrong = "identification is 0";
      } else if (*id != first) {
        wrong = "identifications differ";
      }
    }
    for (std::string& one : want.packets) {
      if (Get8(one, 0) == 0x45) TakeIdentification(one).IgnoreError();
    }
  }
  if (wrong.empty() && got != want.packets) wrong = "not the same";
  if (wrong.empty()) return std::string();
  return absl::StrCat(wrong, "; programs: ", OutcomeName(result.outcome),
                      ", reference: ", want.note, "\n  in\n    ",
                      absl::BytesToHexString(packet), "\n  programs\n",
                      Hex(as_sent), "  reference\n", Hex(want.packets));
}

absl::StatusOr<DifferentialResult> RunDifferential(LinkType link, uint64_t seed,
                                                   uint64_t packets) {
  NP_ASSIGN_OR_RETURN(std::unique_ptr<Sandbox> sandbox, Sandbox::Create(link));
  const std::vector<NamedConfig> configs = AllConfigs();
  DifferentialResult result;
  for (uint64_t turn = 0; result.packets < packets; ++turn) {
    const NamedConfig& named = configs[turn % configs.size()];
    NP_RETURN_IF_ERROR(sandbox->Configure(named.config));
    RandomPackets random(seed + turn, named.config);
    for (uint64_t i = 0; i < kTurn && result.packets < packets; ++i) {
      const Direction direction =
          i % 2 == 0 ? Direction::k4to6 : Direction::k6to4;
      const std::string packet = random.Next(direction);
      // The kernel itself looks at the version on a link without headers.
      if (link == LinkType::kRawIp &&
          VersionOf(packet) != VersionBefore(direction)) {
        continue;
      }
      ++result.packets;
      uint32_t outcome = 0;
      NP_ASSIGN_OR_RETURN(
          std::string difference,
          Compare(*sandbox, link, named.config, direction, packet, &outcome));
      ++result.outcomes[outcome];
      if (difference.empty()) continue;
      result.differences.push_back(absl::StrCat(
          named.name, ", seed ", seed + turn, ", ",
          direction == Direction::k4to6 ? "4to6" : "6to4", ": ", difference));
      if (result.differences.size() == kMostDifferences) return result;
    }
  }
  return result;
}

}  // namespace netpolicy::clat::testing
