// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/random_packet.h"

#include <algorithm>

#include "clat/testing/reference_addresses.h"
#include "clat/testing/reference_bytes.h"
#include "clat/testing/reference_headers.h"

namespace netpolicy::clat::testing {
namespace {

std::string Parse4(const char* text) { return Raw(*Ipv4Address::Parse(text)); }
std::string Parse6(const char* text) { return Raw(*Ipv6Address::Parse(text)); }

}  // namespace

RandomPackets::RandomPackets(uint64_t seed, const TranslatorConfig& config)
    : random_(seed), config_(config) {}

// Not std::uniform_int_distribution: its values differ between libraries.
uint32_t RandomPackets::Below(uint32_t limit) {
  return limit == 0 ? 0 : static_cast<uint32_t>(random_() % limit);
}

std::string RandomPackets::Bytes(size_t count) {
  std::string out(count, '\0');
  if (Chance(10)) return out;
  for (char& byte : out) byte = static_cast<char>(Below(256));
  return out;
}

size_t RandomPackets::PayloadLength() {
  switch (Below(10)) {
    case 0:
      return 1180 + Below(100);  // around 1260 and 1280
    case 1:
      return 1400 + Below(130);  // around 1500
    case 2:
      return 500 + Below(100);  // around 576
    case 3:
      return Below(4000);
    case 4:
      return Below(20000);
    case 5:
      return 100 + Below(60);  // around 128
    default:
      return Below(100);
  }
}

std::string RandomPackets::Own4() {
  if (!config_.mappings.empty() && Chance(50)) {
    const Ipv4Prefix& prefix = OneOf(config_.mappings).ip4;
    std::string out = Raw(prefix.address);
    if (prefix.length < 32) {
      const uint32_t suffix =
          Below(prefix.length == 0 ? 0xffffffff : 1U << (32 - prefix.length));
      Put32(out, 0, Get32(out, 0) | suffix);
    }
    return out;
  }
  if (config_.pairs.empty()) return Bytes(4);
  return Raw(OneOf(config_.pairs).ip4);
}

std::string RandomPackets::Other4() {
  static const std::vector<const char*> kAddresses = {
      "8.8.8.8",         "1.1.1.1",     "203.0.113.9", "198.51.100.77",
      "192.0.2.1",       "10.1.2.3",    "172.16.9.9",  "192.168.1.1",
      "100.64.0.1",      "198.18.0.1",  "224.0.0.251", "255.255.255.255",
      "127.0.0.1",       "0.0.0.0",     "0.1.2.3",     "169.254.1.1",
      "240.0.0.1",       "192.88.99.1", "192.0.0.8",   "192.0.0.171",
      "223.255.255.255", "128.0.0.1"};
  if (Chance(80)) return Parse4(kAddresses[Below(6)]);
  if (Chance(20)) return Own4();
  return Chance(80) ? Parse4(OneOf(kAddresses)) : Bytes(4);
}

std::string RandomPackets::Own6() {
  const std::string ip4 = Own4();
  if (auto ip6 = MapExplicitly6(config_, ip4)) {
    // Bits behind a mapped suffix do not count.
    if (!config_.mappings.empty() && Chance(10)) Put8(*ip6, 15, Below(256));
    return *ip6;
  }
  return Bytes(16);
}

std::string RandomPackets::Other6() {
  if (Chance(85)) {
    TranslatorConfig any = config_;
    any.not_global = NotGlobal::kTranslate;
    Mapped mapped = To6(any, Other4());
    if (mapped.trouble != Trouble::kNone) {
      // An illegal address, embedded all the same in a /96.
      mapped.address = Raw(config_.prefix.prefix().address);
      mapped.address.replace(12, 4, Other4());
    }
    if (Chance(2)) Put8(mapped.address, 8 + Below(8), 1);
    return mapped.address;
  }
  static const std::vector<const char*> kAddresses = {
      "2001:db8:ffff::1",    "fe80::1", "::1", "::", "ff02::1", "64:ff9b:1::1",
      "2001:4860:4860::8888"};
  return Chance(80) ? Parse6(OneOf(kAddresses)) : Own6();
}

std::string RandomPackets::Options() {
  std::string out;
  const size_t length = 4 * (1 + Below(10));
  while (out.size() < length) {
    switch (Below(6)) {
      case 0:
        out += '\1';
        break;
      case 1:
        out += std::string("\x94\x04\x00\x00", 4);  // router alert
        break;
      case 2:
      case 3: {  // a source route
        std::string route("\x83\x07\x04\x0a\x00\x00\x01", 7);
        if (Chance(50)) route[0] = '\x89';
        if (Chance(50)) route[2] = '\x08';
        out += route;
        break;
      }
      case 4:
        out += Bytes(1 + Below(4));
        break;
      default:
        out += std::string("\x07\x07\x04\x00\x00\x00\x00", 7);
    }
  }
  out.resize(length);
  return out;
}

void RandomPackets::Extend(std::string& icmp, size_t attribute_at,
                           size_t unit) {
  if (Chance(60)) return;
  size_t length = icmp.size() - 8;
  if (Chance(90)) {
    length = std::max<size_t>((length + unit - 1) / unit * unit, 128);
    if (length / unit > 255) length = 128;
    icmp.resize(8 + length, '\0');
    icmp += std::string("\x20\x00\x00\x00", 4) + Bytes(4 * Below(40));
    if (Chance(5)) icmp += Bytes(500);
  }
  Put8(icmp, attribute_at,
       Chance(90) ? static_cast<uint32_t>(length / unit) : Below(256));
}

std::string RandomPackets::Icmp4(int depth) {
  static const std::vector<uint32_t> kErrors = {3,  3,  3,  3, 11,
                                                11, 12, 12, 4, 5};
  static const std::vector<uint32_t> kOthers = {6,  9,  10, 13, 14, 15,
                                                16, 17, 18, 42, 255};
  std::string out(8, '\0');
  if (depth > 1 ? Chance(80) : Chance(40)) {
    Put8(out, 0, Chance(50) ? 8 : 0);
    if (Chance(5)) Put8(out, 1, Below(256));
    out.replace(4, 4, Bytes(4));
    out += Bytes(PayloadLength());
  } else if (Chance(10)) {
    Put8(out, 0, OneOf(kOthers));
    out += Bytes(Below(100));
  } else {
    Put8(out, 0, OneOf(kErrors));
    Put8(out, 1, Chance(90) ? Below(17) : Below(256));
    if (Get8(out, 0) == 3 && Get8(out, 1) == 4) {
      static const std::vector<uint32_t> kMtus = {0,    0,    68,   576,  1260,
                                                  1261, 1400, 1480, 1500, 9000};
      Put16(out, 6, OneOf(kMtus));
    } else if (Get8(out, 0) == 12) {
      if (Chance(70)) Put8(out, 1, 2 * Below(2));
      Put8(out, 4, Below(24));
    } else if (Chance(20)) {
      out.replace(4, 4, Bytes(4));
    }
    std::string inner = Ip4(Chance(90) ? Other4() : Own4(),
                            Chance(90) ? Own4() : Other4(), depth + 1);
    const size_t header =
        std::min<size_t>((Get8(inner, 0) & 15) * 4, inner.size());
    if (Chance(70)) inner.resize(std::min(inner.size(), header + 8));
    if (Chance(10))
      inner.resize(Below(static_cast<uint32_t>(inner.size()) + 1));
    out += inner;
    Extend(out, 5, 4);
  }
  Put16(out, 2, Complement(Sum(out)));
  return out;
}

std::string RandomPackets::Icmp6(const std::string& src, const std::string& dst,
                                 int depth) {
  static const std::vector<uint32_t> kErrors = {1, 1, 2, 2, 3, 3, 4, 4, 5, 127};
  static const std::vector<uint32_t> kOthers = {130, 131, 132, 133, 134, 135,
                                                136, 137, 143, 200, 255};
  std::string out(8, '\0');
  if (depth > 1 ? Chance(80) : Chance(40)) {
    Put8(out, 0, 128 + Below(2));
    out.replace(4, 4, Bytes(4));
    out += Bytes(PayloadLength());
  } else if (Chance(10)) {
    Put8(out, 0, OneOf(kOthers));
    out += Bytes(Below(100));
  } else {
    Put8(out, 0, OneOf(kErrors));
    Put8(out, 1, Chance(90) ? Below(7) : Below(256));
    if (Get8(out, 0) == 2) {
      static const std::vector<uint32_t> kMtus = {
          0,    20,   68,   88,   1000,  1280,      1281,
          1400, 1500, 1520, 9000, 70000, 0xffffffff};
      Put32(out, 4, OneOf(kMtus));
    } else if (Get8(out, 0) == 4) {
      if (Chance(70)) Put8(out, 1, Below(2));
      Put32(out, 4, Chance(95) ? Below(42) : 0x01000006);
    } else if (Chance(20)) {
      out.replace(4, 4, Bytes(4));
    }
    std::string inner = Ip6(Chance(90) ? Own6() : Other6(),
                            Chance(90) ? Other6() : Own6(), depth + 1);
    if (Chance(50)) inner.resize(std::min<size_t>(inner.size(), 48));
    if (Chance(80)) inner.resize(std::min<size_t>(inner.size(), 1232));
    if (Chance(10))
      inner.resize(Below(static_cast<uint32_t>(inner.size()) + 1));
    out += inner;
    Extend(out, 4, 8);
  }
  Put16(out, 2, Complement(Sum(out) + Pseudo(src, dst, 58, out.size())));
  return out;
}

std::string RandomPackets::Transport(uint32_t protocol, const std::string& src,
                                     const std::string& dst, int depth) {
  if (protocol == 1 && src.size() == 4) return Icmp4(depth);
  if (protocol == 58 && src.size() == 16) return Icmp6(src, dst, depth);
  const size_t header = protocol == 6 ? 20 : 8;
  std::string out = Bytes(Chance(98) ? header + PayloadLength() : Below(20));
  const auto place = ChecksumPlace(protocol);
  if (!place.has_value() || out.size() < *place + 2) return out;
  if (protocol == 17) {
    const auto length = static_cast<uint32_t>(out.size());
    Put16(out, 4, Chance(95) ? length & 0xffff : Below(length + 10));
  }
  if (protocol == 6) Put8(out, 12, 0x50);
  if (Chance(5)) return out;  // wrong
  Put16(out, *place, 0);
  if (protocol == 17 && Chance(10)) return out;
  const uint32_t check =
      Complement(Sum(out) + Pseudo(src, dst, protocol, out.size()));
  Put16(out, *place, protocol == 17 && check == 0 ? 0xffff : check);
  return out;
}

std::string RandomPackets::Ip4(const std::string& src, const std::string& dst,
                               int depth) {
  static const std::vector<uint32_t> kProtocols = {
      6, 6, 6, 17, 17, 17, 17, 1, 1, 1, 1, 1, 33, 136, 132, 47, 50};
  static const std::vector<uint32_t> kStrange = {0,  2,  41, 43, 44,  51,
                                                 58, 59, 60, 89, 135, 255};
  const uint32_t protocol = Chance(95) ? OneOf(kProtocols) : OneOf(kStrange);
  std::string payload = Transport(protocol, src, dst, depth);
  payload.resize(std::min<size_t>(payload.size(), 30000));
  Ip4Header ip;
  ip.tos = Chance(50) ? 0 : Below(256);
  ip.id = Below(65536);
  ip.ttl = Chance(95) ? 2 + Below(254) : Below(2);
  ip.protocol = protocol;
  ip.src = src;
  ip.dst = dst;
  ip.df = Chance(60);
  if (Chance(12)) {
    ip.df = Chance(10);
    ip.mf = Chance(60);
    ip.offset = Chance(40) ? 0 : 8 * Below(8192);
    if (ip.mf && Chance(95)) payload.resize(payload.size() / 8 * 8);
  }
  std::string head = ip.Write(payload.size());
  if (Chance(12)) {
    head += Options();
    Put8(head, 0, static_cast<uint32_t>(0x40 | head.size() / 4));
    Put16(head, 2, static_cast<uint32_t>(head.size() + payload.size()));
  }
  if (payload.size() < 8000 && Chance(1)) Put16(head, 2, Below(65536));
  if (Chance(1)) Put8(head, 0, Below(256));
  if (Chance(1)) Put8(head, 6, Get8(head, 6) | 0x80);
  Put16(head, 10, 0);
  Put16(head, 10, Complement(Sum(head)));
  if (Chance(1)) Put16(head, 10, Below(65536));
  return head + payload;
}

std::string RandomPackets::Ip6(const std::string& src, const std::string& dst,
                               int depth) {
  static const std::vector<uint32_t> kProtocols = {
      6, 6, 6, 17, 17, 17, 17, 58, 58, 58, 58, 58, 33, 136, 132, 47, 50};
  static const std::vector<uint32_t> kStrange = {1,  2,   41,  51, 59,
                                                 89, 135, 139, 255};
  const uint32_t protocol = Chance(95) ? OneOf(kProtocols) : OneOf(kStrange);
  std::string payload = Transport(protocol, src, dst, depth);
  payload.resize(std::min<size_t>(payload.size(), 30000));
  std::string chain;
  uint32_t first = protocol;
  size_t last_next = 0;  // where the last header says what follows; 0: nowhere
  const auto add = [&](uint32_t type, std::string header) {
    Put8(header, 0, protocol);
    if (last_next == 0) {
      first = type;
    } else {
      Put8(chain, last_next - 1, type);
    }
    last_next = chain.size() + 1;
    chain += header;
  };
  if (Chance(15)) {
    const uint32_t headers = Chance(95) ? 1 + Below(3) : Below(12);
    for (uint32_t i = 0; i < headers; ++i) {
      static const std::vector<uint32_t> kTypes = {0, 60, 43};
      const uint32_t type = OneOf(kTypes);
      const uint32_t units = Chance(95) ? Below(4) : Below(256);
      std::string header = Bytes(8 * (units + 1));
      Put8(header, 1, units);
      if (type == 43) Put8(header, 3, Chance(70) ? 0 : Below(256));
      add(type, header);
    }
  }
  if (Chance(15)) {
    std::string header = Bytes(8);
    Put16(header, 2,
          Chance(30) ? 0 : (Chance(50) ? 8 * Below(8192) : 0) | Below(2));
    add(44, header);
    if (Get16(header, 2) & 1) payload.resize(payload.size() / 8 * 8);
    if (Chance(5)) add(60, Bytes(8));
  }
  Ip6Header ip;
  ip.traffic_class = Chance(50) ? 0 : Below(256);
  ip.hop_limit = Chance(95) ? 2 + Below(254) : Below(2);
  ip.next = first;
  ip.src = src;
  ip.dst = dst;
  std::string head = ip.Write(chain.size() + payload.size());
  if (Chance(30)) Put32(head, 0, Get32(head, 0) | Below(1 << 20));
  if (payload.size() < 8000 && Chance(1)) Put16(head, 4, Below(65536));
  if (Chance(1)) Put16(head, 4, 0);
  return head + chain + payload;
}

std::string RandomPackets::Next(Direction direction) {
  std::string out;
  if (direction == Direction::k4to6) {
    out = Ip4(Chance(95) ? Own4() : Other4(), Other4(), 1);
  } else {
    out = Ip6(Other6(), Chance(97) ? Own6() : Other6(), 1);
  }
  if (Chance(1)) out.resize(Below(static_cast<uint32_t>(out.size()) + 1));
  // Padding, as short Ethernet frames have it.
  if (out.size() < 1500 && Chance(3)) out += Bytes(Below(20));
  if (Chance(3) && !out.empty()) {
    const size_t at = Below(static_cast<uint32_t>(out.size()));
    Put8(out, at, Below(256));
    if (direction == Direction::k4to6 && out.size() >= 20 && at < 20 &&
        Get8(out, 0) == 0x45) {
      Put16(out, 10, 0);
      Put16(out, 10, Complement(Sum(absl::string_view(out).substr(0, 20))));
    }
  }
  return out;
}

}  // namespace netpolicy::clat::testing
