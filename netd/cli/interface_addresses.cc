// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/interface_addresses.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/model/text.h"

namespace netpolicy::cli {
namespace {

// Where the four bytes of an IPv4 address are in the sixteen.
constexpr size_t kIpv4Offset = 12;

int BitsSet(const uint8_t* bytes, size_t size) {
  int bits = 0;
  for (size_t i = 0; i < size; ++i) bits += std::popcount(bytes[i]);
  return bits;
}

}  // namespace

absl::StatusOr<std::vector<InterfaceAddress>> ReadAddresses(
    const std::string& interface) {
  if (if_nametoindex(interface.c_str()) == 0) {
    return absl::NotFoundError(absl::StrCat(
        "read addresses of ", Quote(interface), ": no such interface"));
  }
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) {
    return absl::InternalError(absl::StrCat(
        "read addresses of ", Quote(interface), ": ", std::strerror(errno)));
  }
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(first, freeifaddrs);
  std::vector<InterfaceAddress> addresses;
  for (const ifaddrs* it = first; it != nullptr; it = it->ifa_next) {
    if (interface != it->ifa_name || it->ifa_addr == nullptr ||
        it->ifa_netmask == nullptr) {
      continue;
    }
    InterfaceAddress found;
    if (it->ifa_addr->sa_family == AF_INET) {
      sockaddr_in address;
      sockaddr_in mask;
      std::memcpy(&address, it->ifa_addr, sizeof(address));
      std::memcpy(&mask, it->ifa_netmask, sizeof(mask));
      found.address[10] = found.address[11] = 0xff;
      std::memcpy(&found.address[kIpv4Offset], &address.sin_addr, 4);
      uint8_t bits[4];
      std::memcpy(bits, &mask.sin_addr, sizeof(bits));
      found.prefix_length =
          static_cast<uint8_t>(8 * kIpv4Offset + BitsSet(bits, sizeof(bits)));
    } else if (it->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 address;
      sockaddr_in6 mask;
      std::memcpy(&address, it->ifa_addr, sizeof(address));
      std::memcpy(&mask, it->ifa_netmask, sizeof(mask));
      std::copy_n(address.sin6_addr.s6_addr, 16, found.address.begin());
      found.prefix_length =
          static_cast<uint8_t>(BitsSet(mask.sin6_addr.s6_addr, 16));
    } else {
      continue;
    }
    addresses.push_back(found);
  }
  return addresses;
}

}  // namespace netpolicy::cli
