#include "libpolicy/model/ip_prefix.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/network.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

constexpr int kIpv4Offset = NP_PREFIX_IPV4_BITS / 8;
constexpr AddressBytes kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// `address` with the bits from `length` on 0.
AddressBytes Masked(AddressBytes address, int length) {
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(length - 8 * i, 0, 8);
    address[static_cast<size_t>(i)] &= static_cast<uint8_t>(0xff00 >> kept);
  }
  return address;
}

// A decimal number without leading zeros, at most `most`.
bool ParseLength(absl::string_view text, int most, int& length) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) {
    return false;
  }
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return absl::SimpleAtoi(text, &length) && length <= most;
}

absl::Status Wrong(absl::string_view text, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(Quote(text), ": ", cause));
}

}  // namespace

AddressBytes MappedAddress(const std::array<uint8_t, 4>& ipv4) {
  AddressBytes address = kMapped;
  std::copy(ipv4.begin(), ipv4.end(), address.begin() + kIpv4Offset);
  return address;
}

bool IsIpv4(const AddressBytes& address) {
  return std::equal(kMapped.begin(), kMapped.begin() + kIpv4Offset,
                    address.begin());
}

bool IsLoopback(const AddressBytes& address) {
  constexpr AddressBytes kIpv6Loopback = {0, 0, 0, 0, 0, 0, 0, 0,
                                          0, 0, 0, 0, 0, 0, 0, 1};
  return IsIpv4(address) ? address[kIpv4Offset] == 127
                         : address == kIpv6Loopback;
}

bool Contains(const IpPrefix& prefix, const AddressBytes& address) {
  if (prefix.family == IpFamily::kAny) return true;
  if ((prefix.family == IpFamily::kIpv4) != IsIpv4(address)) return false;
  return Masked(address, prefix.length) == prefix.address;
}

absl::StatusOr<IpPrefix> ParseIpPrefix(absl::string_view text) {
  const size_t slash = text.find('/');
  // inet_pton() wants an end.
  const std::string address(text.substr(0, slash));
  IpPrefix prefix;
  int most = 128;
  // A NUL would end the address early.
  const bool whole = address.find('\0') == std::string::npos;
  if (whole && inet_pton(AF_INET, address.c_str(),
                         prefix.address.data() + kIpv4Offset) == 1) {
    std::copy_n(kMapped.begin(), kIpv4Offset, prefix.address.begin());
    prefix.family = IpFamily::kIpv4;
    most = 32;
  } else if (whole &&
             inet_pton(AF_INET6, address.c_str(), prefix.address.data()) == 1) {
    prefix.family = IpFamily::kIpv6;
    if (IsIpv4(prefix.address)) {
      return Wrong(text, "is IPv4, to be written as such");
    }
  } else {
    return Wrong(text, "is no address, and no prefix such as 10.0.0.0/8");
  }
  int length = most;
  if (slash != absl::string_view::npos &&
      !ParseLength(text.substr(slash + 1), most, length)) {
    return Wrong(text,
                 absl::StrCat("the length is no number from 0 to ", most));
  }
  prefix.length = static_cast<uint8_t>(length + 128 - most);
  const AddressBytes masked = Masked(prefix.address, prefix.length);
  if (masked != prefix.address) {
    prefix.address = masked;
    return Wrong(text, absl::StrCat("has bits beyond its length, unlike ",
                                    IpPrefixText(prefix)));
  }
  return prefix;
}

absl::StatusOr<AddressBytes> ParseAddress(absl::string_view text) {
  NP_ASSIGN_OR_RETURN(const IpPrefix prefix, ParseIpPrefix(text));
  if (text.find('/') != absl::string_view::npos) {
    return Wrong(text, "is no address");
  }
  return prefix.address;
}

std::string IpPrefixText(const IpPrefix& prefix) {
  if (prefix.family == IpFamily::kAny) return "any";
  const std::string address = AddressText(prefix.address);
  if (prefix.length == 128) return address;
  return absl::StrCat(
      address, "/",
      prefix.length -
          (prefix.family == IpFamily::kIpv4 ? NP_PREFIX_IPV4_BITS : 0));
}

std::string AddressText(const AddressBytes& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (IsIpv4(address)) {
    inet_ntop(AF_INET, address.data() + kIpv4Offset, text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, address.data(), text, sizeof(text));
  }
  return text;
}

}  // namespace netpolicy
