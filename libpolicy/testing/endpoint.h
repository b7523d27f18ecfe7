// SPDX-License-Identifier: Apache-2.0
//
// IP addresses and endpoints, short to write in a test.
//
//   Endpoint server{"fd77::2", 53};
//   EXPECT_EQ(server.ToString(), "[fd77::2]:53");
//   IpAddress net = "10.77.0.0";

#ifndef NETPOLICY_LIBPOLICY_TESTING_ENDPOINT_H_
#define NETPOLICY_LIBPOLICY_TESTING_ENDPOINT_H_

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace netpolicy::testing {

// An IPv4 or IPv6 address. A value type.
class IpAddress {
 public:
  // 0.0.0.0
  IpAddress() = default;

  // Implicit, for literals in tests: text that is no address is a bug of the
  // test and aborts it. Use Parse() for other text.
  IpAddress(const char* literal);  // NOLINT(google-explicit-constructor)

  static absl::StatusOr<IpAddress> Parse(absl::string_view text);

  // `bytes` in network order, 4 or 16 of them; anything else aborts.
  static IpAddress FromBytes(absl::string_view bytes);

  // 0.0.0.0 or ::
  static IpAddress Any(int family);

  // AF_INET or AF_INET6.
  int family() const { return family_; }
  bool IsV4() const { return family_ == AF_INET; }

  // Network order, 4 or 16 bytes; valid as long as this object.
  absl::string_view bytes() const {
    return {reinterpret_cast<const char*>(bytes_.data()), IsV4() ? 4u : 16u};
  }

  // RFC 5952 form.
  std::string ToString() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  int family_ = AF_INET;
  std::array<uint8_t, 16> bytes_ = {};
};

// An address with a port in host order (0 where there is none).
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;
  // Interface index for link-local IPv6 addresses.
  uint32_t scope_id = 0;

  // The socket address; returns its length.
  socklen_t ToSockaddr(sockaddr_storage* out) const;

  // AF_INET or AF_INET6; kInvalidArgument for other families.
  static absl::StatusOr<Endpoint> FromSockaddr(const sockaddr_storage& in);

  // "10.0.0.1:53", "[fd00::1]:53", "[fe80::1%2]:53"
  std::string ToString() const;

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

std::ostream& operator<<(std::ostream& os, const IpAddress& address);
std::ostream& operator<<(std::ostream& os, const Endpoint& endpoint);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_ENDPOINT_H_
