// SPDX-License-Identifier: Apache-2.0

// Router advertisements and DNS answers of anybody's making: nothing is read
// beyond them, and each prefix that is found is one that can be used.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "clat/pref64_option.h"

namespace {

using netpolicy::clat::Ipv4Address;
using netpolicy::clat::Ipv6Address;
using netpolicy::clat::Pref64;

void CheckUsable(const Pref64& prefix) {
  const Ipv4Address address{{192, 0, 2, 33}};
  if (prefix.Extract(prefix.Embed(address)) != address) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const auto& notice : netpolicy::clat::ParsePref64Options(bytes)) {
    CheckUsable(notice.prefix);
    if (notice.lifetime < absl::ZeroDuration() ||
        notice.lifetime > absl::Seconds(65528)) {
      abort();
    }
  }
  auto advertised = netpolicy::clat::ParseRouterAdvertisement(bytes);
  if (advertised.ok()) {
    for (const auto& notice : *advertised) CheckUsable(notice.prefix);
  }
  std::vector<Ipv6Address> addresses(size / 16);
  for (size_t i = 0; i < addresses.size(); ++i) {
    std::memcpy(addresses[i].bytes.data(), data + 16 * i, 16);
  }
  const auto found = netpolicy::clat::FindPref64s(addresses);
  if (found.size() > addresses.size()) abort();
  for (const Pref64& prefix : found) CheckUsable(prefix);
  return 0;
}
