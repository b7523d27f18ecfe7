// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/reference_translator.h"

#include <cstdint>

#include "clat/testing/reference_bytes.h"
#include "clat/testing/reference_headers.h"
#include "clat/testing/reference_internal.h"

namespace netpolicy::clat::testing {

Reference Translate(const TranslatorConfig& config, Direction direction,
                    absl::string_view packet) {
  return direction == Direction::k4to6 ? TranslateFourToSix(config, packet)
                                       : TranslateSixToFour(config, packet);
}

std::string FindFault(absl::string_view packet) {
  if (packet.empty()) return "empty";
  absl::string_view payload;
  uint32_t protocol = 0;
  uint32_t pseudo = 0;
  bool whole = true;
  if (Get8(packet, 0) == 0x45) {
    if (packet.size() < 20) return "IPv4: cut off";
    if (Get16(packet, 2) != packet.size()) return "IPv4: total length";
    if (Sum(packet.substr(0, 20)) != 0) return "IPv4: header checksum";
    const Ip4Header ip = Read4(packet);
    payload = packet.substr(20);
    protocol = ip.protocol;
    whole = !ip.fragment();
    if (ip.df && ip.fragment()) return "IPv4: DF in a fragment";
    if (ip.mf && payload.size() % 8 != 0) return "IPv4: fragment length";
    pseudo = Pseudo(ip.src, ip.dst, protocol, payload.size());
  } else if (Get8(packet, 0) >> 4 == 6) {
    if (packet.size() < 40) return "IPv6: cut off";
    if (Get16(packet, 4) + 40 != packet.size()) return "IPv6: payload length";
    const Chain chain = Walk(packet);
    // In a fragment that came from IPv4 the protocol may be anything.
    if (!chain.trouble.empty()) return chain.has_fragment ? "" : chain.trouble;
    payload = packet.substr(40 + chain.length);
    protocol = chain.last;
    whole = chain.whole();
    if (chain.mf && payload.size() % 8 != 0) return "IPv6: fragment length";
    pseudo = Pseudo(packet.substr(8, 16), packet.substr(24, 16), protocol,
                    payload.size());
  } else {
    return "neither IPv4 without options nor IPv6";
  }
  if (!whole || (protocol != kTcp && protocol != kUdp && protocol != kIcmp &&
                 protocol != kIcmp6)) {
    return "";
  }
  if (payload.size() < *ChecksumPlace(protocol) + 2) return "no checksum";
  if ((Sum(payload) + pseudo) % 65535 != 0) return "transport checksum";
  return "";
}

}  // namespace netpolicy::clat::testing
