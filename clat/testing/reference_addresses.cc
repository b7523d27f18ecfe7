// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/reference_addresses.h"

#include <array>
#include <cstdint>
#include <vector>

#include "clat/testing/reference_bytes.h"

namespace netpolicy::clat::testing {
namespace {

bool Bit(absl::string_view bytes, int bit) {
  return Get8(bytes, static_cast<size_t>(bit / 8)) >> (7 - bit % 8) & 1;
}

void SetBit(std::string& bytes, int bit, bool value) {
  const uint32_t mask = 0x80 >> (bit % 8);
  uint32_t byte = Get8(bytes, static_cast<size_t>(bit / 8));
  byte = value ? byte | mask : byte & ~mask;
  Put8(bytes, static_cast<size_t>(bit / 8), byte);
}

bool StartsWith(absl::string_view address, absl::string_view prefix, int bits) {
  for (int i = 0; i < bits; ++i) {
    if (Bit(address, i) != Bit(prefix, i)) return false;
  }
  return true;
}

// The places of an embedded address's 32 bits (RFC 6052, figure 1).
std::array<int, 32> EmbeddedBits(int prefix_length) {
  std::array<int, 32> places{};
  int at = prefix_length;
  for (int& place : places) {
    if (at == 64) at = 72;
    place = at++;
  }
  return places;
}

bool InNet(absl::string_view address, const char* prefix) {
  const Ipv4Prefix net = *Ipv4Prefix::Parse(prefix);
  return StartsWith(address, Raw(net.address), net.length);
}

std::vector<PrefixPair> Mappings(const TranslatorConfig& config) {
  std::vector<PrefixPair> all = config.mappings;
  for (const AddressPair& pair : config.pairs) {
    all.push_back({{pair.ip4, 32}, {pair.ip6, 128}});
  }
  return all;
}

}  // namespace

Trouble CheckEmbedded(const TranslatorConfig& config, absl::string_view ip4) {
  for (const char* net : {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
                          "224.0.0.0/4", "240.0.0.0/4"}) {
    if (InNet(ip4, net)) return Trouble::kNoCounterpart;
  }
  if (config.prefix.ToString() != "64:ff9b::/96" ||
      config.not_global == NotGlobal::kTranslate) {
    return Trouble::kNone;
  }
  for (const char* net : {"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12",
                          "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15"}) {
    if (InNet(ip4, net)) return Trouble::kNotGlobal;
  }
  if (config.not_global == NotGlobal::kDropWithDocumentation) {
    for (const char* net :
         {"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"}) {
      if (InNet(ip4, net)) return Trouble::kNotGlobal;
    }
  }
  return Trouble::kNone;
}

std::optional<std::string> MapExplicitly6(const TranslatorConfig& config,
                                          absl::string_view ip4) {
  const PrefixPair* best = nullptr;
  const std::vector<PrefixPair> all = Mappings(config);
  for (const PrefixPair& one : all) {
    if (StartsWith(ip4, Raw(one.ip4.address), one.ip4.length) &&
        (best == nullptr || one.ip4.length > best->ip4.length)) {
      best = &one;
    }
  }
  if (best == nullptr) return std::nullopt;
  std::string out = Raw(best->ip6.address);
  for (int i = 0; i < 32 - best->ip4.length; ++i) {
    SetBit(out, best->ip6.length + i, Bit(ip4, best->ip4.length + i));
  }
  return out;
}

std::optional<std::string> MapExplicitly4(const TranslatorConfig& config,
                                          absl::string_view ip6) {
  const PrefixPair* best = nullptr;
  const std::vector<PrefixPair> all = Mappings(config);
  for (const PrefixPair& one : all) {
    if (StartsWith(ip6, Raw(one.ip6.address), one.ip6.length) &&
        (best == nullptr || one.ip6.length > best->ip6.length)) {
      best = &one;
    }
  }
  if (best == nullptr) return std::nullopt;
  std::string out = Raw(best->ip4.address);
  for (int i = 0; i < 32 - best->ip4.length; ++i) {
    SetBit(out, best->ip4.length + i, Bit(ip6, best->ip6.length + i));
  }
  return out;
}

Mapped To6(const TranslatorConfig& config, absl::string_view ip4) {
  if (auto found = MapExplicitly6(config, ip4)) return {*found};
  const Trouble trouble = CheckEmbedded(config, ip4);
  if (trouble != Trouble::kNone) return {"", trouble};
  std::string out = Raw(config.prefix.prefix().address);
  const auto places = EmbeddedBits(config.prefix.prefix().length);
  for (int i = 0; i < 32; ++i) SetBit(out, places[i], Bit(ip4, i));
  return {out};
}

Mapped To4(const TranslatorConfig& config, absl::string_view ip6) {
  if (auto found = MapExplicitly4(config, ip6)) return {*found};
  const Ipv6Prefix& prefix = config.prefix.prefix();
  if (!StartsWith(ip6, Raw(prefix.address), prefix.length)) {
    return {"", Trouble::kNoCounterpart};
  }
  std::string rest(ip6);
  std::string out(4, '\0');
  const auto places = EmbeddedBits(prefix.length);
  for (int i = 0; i < 32; ++i) {
    SetBit(out, i, Bit(ip6, places[i]));
    SetBit(rest, places[i], false);
  }
  for (int i = prefix.length; i < 128; ++i) {
    if (Bit(rest, i)) return {"", Trouble::kNoCounterpart};
  }
  return {out, CheckEmbedded(config, out)};
}

}  // namespace netpolicy::clat::testing
