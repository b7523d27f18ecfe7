// SPDX-License-Identifier: Apache-2.0

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "libpolicy/testing/endpoint.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/packet_text.h"

namespace netpolicy::testing {
namespace {

// The arguments of a scapy layer.
class Arguments {
 public:
  template <typename T>
  Arguments& Add(const char* name, const T& value) {
    parts_.push_back(absl::StrCat(name, "=", value));
    return *this;
  }
  // Only when it is not what scapy takes by itself.
  Arguments& AddUnless(uint64_t usual, const char* name, uint64_t value) {
    return value == usual ? *this : Add(name, value);
  }
  Arguments& AddText(const char* name, absl::string_view value) {
    return Add(name, absl::StrCat("\"", value, "\""));
  }
  std::string Call(absl::string_view layer) const {
    return absl::StrCat(layer, "(", absl::StrJoin(parts_, ","), ")");
  }

 private:
  std::vector<std::string> parts_;
};

class Dissector {
 public:
  explicit Dissector(absl::string_view packet) : packet_(packet) {}

  std::vector<PacketLayer> Run(LinkType link) {
    if (link == LinkType::kEthernet) {
      Ethernet();
    } else {
      Ip();
    }
    Data();
    return std::move(layers_);
  }

 private:
  size_t left() const { return packet_.size() - offset_; }
  uint8_t U8(size_t at) const {
    return static_cast<uint8_t>(packet_[offset_ + at]);
  }
  uint16_t U16(size_t at) const {
    return static_cast<uint16_t>(U8(at) << 8 | U8(at + 1));
  }
  uint32_t U32(size_t at) const {
    return uint32_t{U16(at)} << 16 | U16(at + 2);
  }

  std::string FromHex(size_t at, size_t size) const {
    return absl::StrCat(
        "bytes.fromhex(\"",
        absl::BytesToHexString(packet_.substr(offset_ + at, size)), "\")");
  }

  std::string RawBytes(size_t at, size_t size) const {
    return absl::StrCat("Raw(", FromHex(at, size), ")");
  }

  void Push(size_t size, std::string summary, std::string scapy) {
    layers_.push_back({offset_, size, std::move(summary), std::move(scapy)});
    offset_ += size;
  }

  // What is left.
  void Data() {
    if (left() == 0) return;
    Push(left(), "data", RawBytes(0, left()));
  }

  std::string Mac(size_t at) const {
    return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", U8(at), U8(at + 1),
                           U8(at + 2), U8(at + 3), U8(at + 4), U8(at + 5));
  }

  void Ethernet() {
    if (left() < 14) return;
    uint16_t type = U16(12);
    Push(14,
         absl::StrFormat("Ethernet %s > %s, type %04x", Mac(6), Mac(0), type),
         Arguments()
             .AddText("dst", Mac(0))
             .AddText("src", Mac(6))
             .Add("type", type)
             .Call("Ether"));
    while (type == 0x8100 && left() >= 4) {
      const uint16_t tci = U16(0);
      type = U16(2);
      Push(4, absl::StrFormat("VLAN %d, type %04x", tci & 0xfff, type),
           Arguments()
               .Add("vlan", tci & 0xfff)
               .AddUnless(0, "prio", tci >> 13)
               .Add("type", type)
               .Call("Dot1Q"));
    }
    if (type == 0x0800 || type == 0x86dd) Ip();
  }

  // Like the kernel's raw IP devices, believes the version.
  void Ip() {
    if (left() >= 20 && U8(0) >> 4 == 4) {
      Ip4();
    } else if (left() >= 40 && U8(0) >> 4 == 6) {
      Ip6();
    }
  }

  void Ip4() {
    const size_t header_bytes = (U8(0) & 0xfu) * 4;
    if (header_bytes < 20 || header_bytes > left()) return;
    const std::string source =
        IpAddress::FromBytes(packet_.substr(offset_ + 12, 4)).ToString();
    const std::string target =
        IpAddress::FromBytes(packet_.substr(offset_ + 16, 4)).ToString();
    const uint16_t total = U16(2);
    const uint16_t fragment = U16(6);
    const uint8_t protocol = U8(9);
    const bool whole_sum = ChecksumFinish(ChecksumAdd(
                               0, packet_.substr(offset_, header_bytes))) == 0;
    Arguments arguments;
    arguments.AddText("src", source)
        .AddText("dst", target)
        .AddUnless(64, "ttl", U8(8));
    arguments.AddUnless(0, "tos", U8(1)).AddUnless(1, "id", U16(4));
    if ((fragment & 0xe000) != 0) {
      std::vector<std::string> flags;
      if ((fragment & 0x8000) != 0) flags.push_back("evil");
      if ((fragment & 0x4000) != 0) flags.push_back("DF");
      if ((fragment & 0x2000) != 0) flags.push_back("MF");
      arguments.AddText("flags", absl::StrJoin(flags, "+"));
    }
    arguments.AddUnless(0, "frag", fragment & 0x1fff);
    if (total != left()) arguments.Add("len", total);
    if (!whole_sum) arguments.Add("chksum", U16(10));
    if (header_bytes > 20) {
      arguments.Add(
          "options",
          absl::StrCat("[IPOption(", FromHex(20, header_bytes - 20), ")]"));
    }
    arguments.Add("proto", protocol);
    std::string summary =
        absl::StrFormat("IPv4 %s > %s, length %d, ttl %d, protocol %d", source,
                        target, total, U8(8), protocol);
    if ((fragment & 0x3fff) != 0) {
      absl::StrAppendFormat(&summary, ", fragment %d at %d%s", U16(4),
                            (fragment & 0x1fff) * 8,
                            (fragment & 0x2000) != 0 ? " and more" : "");
    }
    if (!whole_sum) absl::StrAppend(&summary, ", wrong checksum");
    const uint32_t pseudo = ChecksumAdd(0, packet_.substr(offset_ + 12, 8));
    Push(header_bytes, std::move(summary), arguments.Call("IP"));
    if ((fragment & 0x1fff) == 0)
      Transport(protocol, pseudo, (fragment & 0x2000) != 0);
  }

  void Ip6() {
    const std::string source =
        IpAddress::FromBytes(packet_.substr(offset_ + 8, 16)).ToString();
    const std::string target =
        IpAddress::FromBytes(packet_.substr(offset_ + 24, 16)).ToString();
    const uint16_t length = U16(4);
    uint8_t next = U8(6);
    Arguments arguments;
    arguments.AddText("src", source)
        .AddText("dst", target)
        .AddUnless(64, "hlim", U8(7));
    arguments.AddUnless(0, "tc", U32(0) >> 20 & 0xff)
        .AddUnless(0, "fl", U32(0) & 0xfffff);
    if (length != left() - 40) arguments.Add("plen", length);
    arguments.Add("nh", next);
    const uint32_t pseudo = ChecksumAdd(0, packet_.substr(offset_ + 8, 32));
    Push(40,
         absl::StrFormat("IPv6 %s > %s, length %d, hop limit %d, next %d",
                         source, target, length, U8(7), next),
         arguments.Call("IPv6"));
    bool fragment = false;
    while (IsExtension(next) && left() >= 8) {
      const uint8_t header = next;
      next = U8(0);
      if (header == 44) {
        const uint16_t field = U16(2);
        fragment = true;
        Push(8,
             absl::StrFormat("fragment %d at %d%s, next %d", U32(4),
                             field & 0xfff8,
                             (field & 1) != 0 ? " and more" : "", next),
             Arguments()
                 .Add("nh", next)
                 .Add("id", U32(4))
                 .Add("offset", field >> 3)
                 .Add("m", field & 1)
                 .Call("IPv6ExtHdrFragment"));
        if ((field & 0xfff8) != 0) return;
        continue;
      }
      const size_t size = header == 51 ? (U8(1) + 2u) * 4 : (U8(1) + 1u) * 8;
      if (size > left()) return;
      Push(size, absl::StrFormat("extension header %d, next %d", header, next),
           RawBytes(0, size));
      raw_extension_ = true;
    }
    Transport(next, pseudo, fragment);
  }

  static bool IsExtension(uint8_t header) {
    return header == 0 || header == 43 || header == 44 || header == 51 ||
           header == 60 || header == 135;
  }

  // `pseudo` is the sum over the addresses. A fragment's checksum can't be
  // told.
  void Transport(uint8_t protocol, uint32_t pseudo, bool fragment) {
    const uint32_t sum =
        ChecksumAdd(pseudo + protocol + static_cast<uint32_t>(left()),
                    packet_.substr(offset_));
    const bool good = fragment || ChecksumFinish(sum) == 0;
    if (protocol == 6 && left() >= 20) {
      Tcp(good);
    } else if (protocol == 17 && left() >= 8) {
      Udp(good || U16(6) == 0);
    } else if ((protocol == 1 || protocol == 58) && left() >= 8) {
      const bool icmp4_good =
          ChecksumFinish(ChecksumAdd(0, packet_.substr(offset_))) == 0;
      Icmp(protocol, fragment || (protocol == 1 ? icmp4_good : good));
    } else if (protocol == 4 || protocol == 41) {
      Ip();
    }
  }

  void Tcp(bool good) {
    const size_t header_bytes = (U8(12) >> 4) * 4u;
    if (header_bytes < 20 || header_bytes > left()) return;
    std::string flags;
    for (int bit = 0; bit < 8; ++bit) {
      if ((U8(13) >> bit & 1) != 0) flags += "FSRPAUEC"[bit];
    }
    Arguments arguments;
    arguments.Add("sport", U16(0)).Add("dport", U16(2)).AddText("flags", flags);
    arguments.Add("seq", U32(4))
        .AddUnless(0, "ack", U32(8))
        .Add("window", U16(14));
    arguments.AddUnless(0, "urgptr", U16(18));
    if (!good || raw_extension_) arguments.Add("chksum", U16(16));
    if (header_bytes > 20) arguments.Add("dataofs", header_bytes / 4);
    std::string scapy = arguments.Call("TCP");
    if (header_bytes > 20) {
      absl::StrAppend(&scapy, "/", RawBytes(20, header_bytes - 20));
    }
    Push(header_bytes,
         absl::StrFormat("TCP %d > %d, flags %s, sequence %d%s", U16(0), U16(2),
                         flags.empty() ? "none" : flags, U32(4),
                         good ? "" : ", wrong checksum"),
         std::move(scapy));
  }

  void Udp(bool good) {
    Arguments arguments;
    arguments.Add("sport", U16(0)).Add("dport", U16(2));
    if (U16(4) != left()) arguments.Add("len", U16(4));
    if (!good || U16(6) == 0 || raw_extension_) arguments.Add("chksum", U16(6));
    Push(8,
         absl::StrFormat("UDP %d > %d, length %d%s", U16(0), U16(2), U16(4),
                         good ? "" : ", wrong checksum"),
         arguments.Call("UDP"));
  }

  // What scapy calls the second word depends on the type.
  std::string Icmp4(uint8_t type, Arguments& arguments) const {
    if (type == 3 && U8(1) == 4 && U16(4) == 0) {
      arguments.Add("nexthopmtu", U16(6));
    } else if (type == 0 || type == 8 || (type >= 13 && type <= 18)) {
      arguments.Add("id", U16(4)).Add("seq", U16(6));
    } else if (U32(4) != 0) {
      return RawBytes(0, 8);
    }
    return arguments.Call("ICMP");
  }

  void Icmp(uint8_t protocol, bool good) {
    const uint8_t type = U8(0);
    Arguments arguments;
    arguments.Add("type", type).Add("code", U8(1));
    if (!good || raw_extension_)
      arguments.Add(protocol == 1 ? "chksum" : "cksum", U16(2));
    const std::string rest =
        absl::BytesToHexString(packet_.substr(offset_ + 4, 4));
    std::string scapy;
    if (protocol == 1) {
      scapy = Icmp4(type, arguments);
    } else {
      scapy = arguments.Add("msgbody", FromHex(4, 4)).Call("ICMPv6Unknown");
    }
    Push(8,
         absl::StrFormat("%s type %d, code %d, rest %s%s",
                         protocol == 1 ? "ICMP" : "ICMPv6", type, U8(1), rest,
                         good ? "" : ", wrong checksum"),
         std::move(scapy));
    const bool error = protocol == 1 ? type == 3 || type == 4 || type == 5 ||
                                           type == 11 || type == 12
                                     : type >= 1 && type <= 4;
    if (error) Ip();
  }

  absl::string_view packet_;
  size_t offset_ = 0;
  // Scapy sees no IP header before what follows such a header, and computes no
  // checksum.
  bool raw_extension_ = false;
  std::vector<PacketLayer> layers_;
};

}  // namespace

std::vector<PacketLayer> DissectPacket(absl::string_view packet,
                                       LinkType link) {
  return Dissector(packet).Run(link);
}

}  // namespace netpolicy::testing
