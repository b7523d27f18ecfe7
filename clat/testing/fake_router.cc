// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/fake_router.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "clat/address.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::clat::testing {
namespace {

void PutBytes(std::string& out, std::initializer_list<int> bytes) {
  for (int byte : bytes) out.push_back(static_cast<char>(byte));
}

void PutNumber(std::string& out, uint32_t number, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(number >> shift));
  }
}

uint32_t Seconds(absl::Duration duration) {
  return static_cast<uint32_t>(absl::ToInt64Seconds(duration));
}

absl::StatusOr<std::string> Encode(const Advertisement& advertisement) {
  std::string out;
  PutBytes(out, {134, 0, 0, 0, 64, 0});
  PutNumber(out, Seconds(advertisement.router_lifetime), 2);
  PutNumber(out, 0, 8);
  for (const Advertisement::Network& network : advertisement.networks) {
    NP_ASSIGN_OR_RETURN(const Ipv6Address address,
                        Ipv6Address::Parse(network.address));
    PutBytes(out, {3, 4, 64, 0xc0});  // on-link, autonomous
    PutNumber(out, Seconds(network.valid), 4);
    PutNumber(out, Seconds(network.preferred), 4);
    PutNumber(out, 0, 4);
    out.append(reinterpret_cast<const char*>(address.bytes.data()), 16);
  }
  for (const Advertisement::Nat64& nat64 : advertisement.nat64) {
    uint32_t code = 0;
    for (int length : {96, 64, 56, 48, 40, 32}) {
      if (nat64.prefix.prefix().length == length) break;
      ++code;
    }
    PutBytes(out, {38, 2});
    PutNumber(out, (Seconds(nat64.lifetime) & ~7U) | code, 2);
    out.append(reinterpret_cast<const char*>(
                   nat64.prefix.prefix().address.bytes.data()),
               12);
  }
  return out;
}

}  // namespace

absl::Status Advertise(const netpolicy::testing::NetNamespace& router,
                       const std::string& interface,
                       const Advertisement& advertisement) {
  using netpolicy::testing::ErrnoStatus;
  NP_ASSIGN_OR_RETURN(const std::string message, Encode(advertisement));
  NP_ASSIGN_OR_RETURN(const int ifindex, router.LinkIndex(interface));
  NP_ASSIGN_OR_RETURN(UniqueFd socket,
                      router.OpenSocket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
  setsockopt(socket.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS,
             &advertisement.hop_limit, sizeof(advertisement.hop_limit));
  sockaddr_in6 all_nodes{};
  all_nodes.sin6_family = AF_INET6;
  all_nodes.sin6_addr.s6_addr[0] = 0xff;
  all_nodes.sin6_addr.s6_addr[1] = 0x02;
  all_nodes.sin6_addr.s6_addr[15] = 0x01;
  all_nodes.sin6_scope_id = static_cast<uint32_t>(ifindex);
  if (sendto(socket.get(), message.data(), message.size(), 0,
             reinterpret_cast<sockaddr*>(&all_nodes), sizeof(all_nodes)) < 0) {
    return ErrnoStatus(errno, absl::StrCat("advertise on ", interface));
  }
  return absl::OkStatus();
}

}  // namespace netpolicy::clat::testing
