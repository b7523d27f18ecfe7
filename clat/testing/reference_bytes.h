// SPDX-License-Identifier: Apache-2.0
//
// Numbers in byte strings, and the Internet checksum, for the reference
// translator.

#ifndef NETPOLICY_CLAT_TESTING_REFERENCE_BYTES_H_
#define NETPOLICY_CLAT_TESTING_REFERENCE_BYTES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace netpolicy::clat::testing {

inline uint32_t Get8(absl::string_view bytes, size_t at) {
  return static_cast<uint8_t>(bytes.at(at));
}
inline uint32_t Get16(absl::string_view bytes, size_t at) {
  return Get8(bytes, at) << 8 | Get8(bytes, at + 1);
}
inline uint32_t Get32(absl::string_view bytes, size_t at) {
  return Get16(bytes, at) << 16 | Get16(bytes, at + 2);
}
inline void Put8(std::string& bytes, size_t at, uint32_t value) {
  bytes.at(at) = static_cast<char>(value);
}
inline void Put16(std::string& bytes, size_t at, uint32_t value) {
  Put8(bytes, at, value >> 8 & 0xff);
  Put8(bytes, at + 1, value & 0xff);
}
inline void Put32(std::string& bytes, size_t at, uint32_t value) {
  Put16(bytes, at, value >> 16);
  Put16(bytes, at + 2, value & 0xffff);
}

// The sum of the 16-bit words modulo 65535, 0 to 65534; an odd byte at the end
// is the upper half of a word.
inline uint32_t Sum(absl::string_view bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? Get8(bytes, i) << 8 : Get8(bytes, i);
  }
  return static_cast<uint32_t>(sum % 65535);
}

// The field that makes a sum without it right: its complement. Written as
// hardware would: 0xffff never comes out.
inline uint32_t Complement(uint32_t sum) {
  return (65535 - sum % 65535) % 65535;
}

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_REFERENCE_BYTES_H_
