// SPDX-License-Identifier: Apache-2.0
//
// How messages lie on netd's socket: the length in 4 bytes, most significant
// first, then that many bytes. A length of 0 is the empty message.

#ifndef NETPOLICY_NETD_SERVICE_FRAME_H_
#define NETPOLICY_NETD_SERVICE_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace netpolicy {

inline constexpr size_t kFrameHeaderBytes = 4;

using FrameHeader = std::array<uint8_t, kFrameHeaderBytes>;

constexpr FrameHeader EncodeFrameHeader(uint32_t length) {
  return {static_cast<uint8_t>(length >> 24),
          static_cast<uint8_t>(length >> 16), static_cast<uint8_t>(length >> 8),
          static_cast<uint8_t>(length)};
}

// The length of the message that follows.
constexpr uint32_t DecodeFrameHeader(const FrameHeader& header) {
  return uint32_t{header[0]} << 24 | uint32_t{header[1]} << 16 |
         uint32_t{header[2]} << 8 | uint32_t{header[3]};
}

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_FRAME_H_
