// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace netpolicy::testing {

IpAddress::IpAddress(const char* literal) {
  absl::StatusOr<IpAddress> parsed = Parse(literal);
  if (!parsed.ok()) {
    fprintf(stderr, "%s\n", parsed.status().ToString().c_str());
    abort();
  }
  *this = *parsed;
}

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  IpAddress address;
  const std::string copy(text);
  for (int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, copy.c_str(), address.bytes_.data()) == 1) {
      address.family_ = family;
      return address;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("parse address ", text, ": neither IPv4 nor IPv6"));
}

IpAddress IpAddress::FromBytes(absl::string_view bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) abort();
  IpAddress address = Any(bytes.size() == 4 ? AF_INET : AF_INET6);
  memcpy(address.bytes_.data(), bytes.data(), bytes.size());
  return address;
}

IpAddress IpAddress::Any(int family) {
  IpAddress address;
  address.family_ = family;
  return address;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family_, bytes_.data(), text, sizeof(text));
  return text;
}

socklen_t Endpoint::ToSockaddr(sockaddr_storage* out) const {
  memset(out, 0, sizeof(*out));
  if (address.IsV4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(out);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    memcpy(&v4->sin_addr, address.bytes().data(), 4);
    return sizeof(*v4);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(out);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  v6->sin6_scope_id = scope_id;
  memcpy(&v6->sin6_addr, address.bytes().data(), 16);
  return sizeof(*v6);
}

absl::StatusOr<Endpoint> Endpoint::FromSockaddr(const sockaddr_storage& in) {
  Endpoint endpoint;
  if (in.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(in);
    endpoint.address =
        IpAddress::FromBytes({reinterpret_cast<const char*>(&v4.sin_addr), 4});
    endpoint.port = ntohs(v4.sin_port);
    return endpoint;
  }
  if (in.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(in);
    endpoint.address = IpAddress::FromBytes(
        {reinterpret_cast<const char*>(&v6.sin6_addr), 16});
    endpoint.port = ntohs(v6.sin6_port);
    endpoint.scope_id = v6.sin6_scope_id;
    return endpoint;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("read socket address: unknown family ", in.ss_family));
}

std::string Endpoint::ToString() const {
  if (address.IsV4()) return absl::StrCat(address.ToString(), ":", port);
  const std::string scope = scope_id == 0 ? "" : absl::StrCat("%", scope_id);
  return absl::StrCat("[", address.ToString(), scope, "]:", port);
}

std::ostream& operator<<(std::ostream& os, const IpAddress& address) {
  return os << address.ToString();
}

std::ostream& operator<<(std::ostream& os, const Endpoint& endpoint) {
  return os << endpoint.ToString();
}

}  // namespace netpolicy::testing
