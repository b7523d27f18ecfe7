// SPDX-License-Identifier: Apache-2.0

#include "clat/pref64_option.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/status/status.h"

namespace netpolicy::clat {
namespace {

constexpr uint8_t kRouterAdvertisement = 134;
constexpr size_t kAdvertisementHeader = 16;  // RFC 4861, 4.2
constexpr uint8_t kPref64 = 38;              // RFC 8781, 4
constexpr size_t kPref64Size = 16;
constexpr size_t kUnit = 8;  // of the lengths of options

// The prefix length code; other codes mean nothing (RFC 8781, 4).
constexpr std::array<int, 6> kLengths = {96, 64, 56, 48, 40, 32};

const std::array<Ipv4Address, 2> kWellKnown = {Ipv4Address{{192, 0, 0, 170}},
                                               Ipv4Address{{192, 0, 0, 171}}};

std::optional<Pref64> MakePref64(const Ipv6Address& address, int length) {
  Ipv6Prefix prefix{address, length};
  for (size_t i = static_cast<size_t>(length) / 8;
       i < prefix.address.bytes.size(); ++i) {
    prefix.address.bytes[i] = 0;
  }
  auto pref64 = Pref64::Create(prefix);
  if (!pref64.ok()) return std::nullopt;
  return *pref64;
}

std::optional<Pref64Notice> ParseOption(absl::string_view option) {
  if (option.size() != kPref64Size) return std::nullopt;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(option[i]); };
  const uint32_t scaled = static_cast<uint32_t>(byte(2)) << 8 | byte(3);
  const uint32_t code = scaled & 7;
  if (code >= kLengths.size()) return std::nullopt;
  Ipv6Address address;
  std::memcpy(address.bytes.data(), option.data() + 4, 12);
  const std::optional<Pref64> prefix = MakePref64(address, kLengths[code]);
  if (!prefix.has_value()) return std::nullopt;
  // In units of 8 s in the upper 13 bits: as they stand, seconds.
  return Pref64Notice{*prefix, absl::Seconds(scaled & ~7U)};
}

}  // namespace

std::vector<Pref64Notice> ParsePref64Options(absl::string_view options) {
  std::vector<Pref64Notice> notices;
  while (options.size() >= 2) {
    const auto type = static_cast<uint8_t>(options[0]);
    const size_t size = static_cast<uint8_t>(options[1]) * kUnit;
    if (size == 0 || size > options.size()) break;
    if (type == kPref64) {
      if (auto notice = ParseOption(options.substr(0, size))) {
        notices.push_back(*notice);
      }
    }
    options.remove_prefix(size);
  }
  return notices;
}

absl::StatusOr<std::vector<Pref64Notice>> ParseRouterAdvertisement(
    absl::string_view message) {
  if (message.size() < kAdvertisementHeader ||
      static_cast<uint8_t>(message[0]) != kRouterAdvertisement ||
      message[1] != 0) {
    return absl::InvalidArgumentError("parse router advertisement: is none");
  }
  return ParsePref64Options(message.substr(kAdvertisementHeader));
}

std::vector<Pref64> FindPref64s(const std::vector<Ipv6Address>& addresses) {
  std::vector<Pref64> prefixes;
  for (const Ipv6Address& address : addresses) {
    std::vector<Pref64> found;
    for (int length : kLengths) {
      const std::optional<Pref64> prefix = MakePref64(address, length);
      if (!prefix.has_value()) continue;
      const std::optional<Ipv4Address> inside = prefix->Extract(address);
      if (inside.has_value() && std::find(kWellKnown.begin(), kWellKnown.end(),
                                          *inside) != kWellKnown.end()) {
        found.push_back(*prefix);
      }
    }
    if (found.size() != 1) continue;
    if (std::find(prefixes.begin(), prefixes.end(), found[0]) ==
        prefixes.end()) {
      prefixes.push_back(found[0]);
    }
  }
  return prefixes;
}

}  // namespace netpolicy::clat
