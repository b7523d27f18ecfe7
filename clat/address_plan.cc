// SPDX-License-Identifier: Apache-2.0

#include "clat/address_plan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "absl/status/status.h"

namespace netpolicy::clat {
namespace {

constexpr uint32_t kServiceContinuity = 0xc0000000;  // 192.0.0.0
constexpr uint32_t kLocals = 7;

uint64_t LittleEndian(const uint8_t* bytes, size_t count) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; ++i) number |= uint64_t{bytes[i]} << (8 * i);
  return number;
}

struct SipState {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void Take(uint64_t word) {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
};

// Sum of 16-bit words in one's complement arithmetic (RFC 1071), where 0xffff
// is 0.
template <typename Bytes>
uint32_t Sum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += static_cast<uint32_t>(bytes[i]) << 8 | bytes[i + 1];
  }
  return sum % 0xffff;
}

uint64_t InterfaceIdOf(const Ipv6Address& address) {
  uint64_t id = 0;
  for (size_t i = 8; i < 16; ++i) id = id << 8 | address.bytes[i];
  return id;
}

}  // namespace

bool IsServiceContinuity(const Ipv4Address& address) {
  return (address.ToInt() & ~7U) == kServiceContinuity;
}

absl::StatusOr<Ipv4Address> ChooseLocal4(const std::set<Ipv4Address>& taken) {
  for (uint32_t i = 1; i <= kLocals; ++i) {
    const Ipv4Address address = Ipv4Address::FromInt(kServiceContinuity + i);
    if (taken.count(address) == 0) return address;
  }
  return absl::ResourceExhaustedError(
      "choose IPv4 address: all of 192.0.0.0/29 are taken");
}

uint64_t KeyedHash(const SecretKey& key, absl::string_view bytes) {
  const uint64_t k0 = LittleEndian(&key[0], 8);
  const uint64_t k1 = LittleEndian(&key[8], 8);
  SipState state = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
                    k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const size_t whole = bytes.size() / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) state.Take(LittleEndian(data + i, 8));
  state.Take(LittleEndian(data + whole, bytes.size() - whole) |
             static_cast<uint64_t>(bytes.size()) << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

uint64_t StableInterfaceId(const SecretKey& secret, const Ipv6Prefix& network,
                           absl::string_view interface_name, uint32_t attempt) {
  // A mark of its own, so that the result is not what another one with the same
  // secret makes of the same network; each part has its own place.
  std::string input = "clat";
  input.append(reinterpret_cast<const char*>(network.address.bytes.data()), 8);
  for (int shift = 0; shift < 32; shift += 8) {
    input.push_back(static_cast<char>(attempt >> shift));
  }
  input.append(interface_name.data(), interface_name.size());
  return KeyedHash(secret, input);
}

bool IsReservedInterfaceId(uint64_t interface_id) {
  return interface_id == 0 ||  // subnet-router anycast, RFC 4291
                               // IANA's, among them proxy mobile IPv6, RFC 6543
         (interface_id >> 24) == 0x02005efffeULL ||
         // subnet anycast, RFC 2526
         (interface_id >= 0xfdffffffffffff80ULL &&
          interface_id <= 0xfdffffffffffffffULL);
}

Ipv6Address MakeLocal6(const Ipv6Prefix& network, uint64_t interface_id,
                       const Pref64& prefix, const Ipv4Address& local4) {
  while (true) {
    Ipv6Address address = network.address;
    for (size_t i = 0; i < 6; ++i) {
      address.bytes[8 + i] = static_cast<uint8_t>(interface_id >> (56 - 8 * i));
    }
    address.bytes[14] = address.bytes[15] = 0;
    const uint32_t wanted = Sum(local4.bytes) + 2 * 0xffff -
                            Sum(address.bytes) -
                            Sum(prefix.prefix().address.bytes);
    const uint32_t word = wanted % 0xffff;
    address.bytes[14] = static_cast<uint8_t>(word >> 8);
    address.bytes[15] = static_cast<uint8_t>(word);
    if (!IsReservedInterfaceId(InterfaceIdOf(address))) return address;
    interface_id ^= uint64_t{1} << 40;
  }
}

Ipv6Prefix NetworkOf(const Ipv6Address& address) {
  Ipv6Prefix network{address, 64};
  std::fill(network.address.bytes.begin() + 8, network.address.bytes.end(),
            uint8_t{0});
  return network;
}

}  // namespace netpolicy::clat
