// SPDX-License-Identifier: Apache-2.0

// RFC 7915, 4.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "clat/testing/reference_addresses.h"
#include "clat/testing/reference_bytes.h"
#include "clat/testing/reference_headers.h"
#include "clat/testing/reference_internal.h"

namespace netpolicy::clat::testing {
namespace {

class FourToSix {
 public:
  explicit FourToSix(const TranslatorConfig& config) : config_(config) {}

  Reference Run(absl::string_view in);

 private:
  Reference Answer(uint32_t type, uint32_t code, uint32_t mtu);
  Reference Error(absl::string_view icmp);
  std::optional<std::string> Inner(absl::string_view original,
                                   std::string& why) const;
  std::optional<std::string> ErrorHead(absl::string_view icmp) const;
  bool HasLiveSourceRoute(absl::string_view options) const;

  const TranslatorConfig& config_;
  absl::string_view in_;
  Ip4Header header_;
  Ip6Header out_;
  size_t header_length_ = 0;
};

bool FourToSix::HasLiveSourceRoute(absl::string_view options) const {
  for (size_t at = 0; at + 1 < options.size();) {
    const uint32_t type = Get8(options, at);
    if (type == 0) return false;
    if (type == 1) {
      ++at;
      continue;
    }
    const uint32_t length = Get8(options, at + 1);
    if (length < 2) return false;
    if (type == 131 || type == 137) {
      return length >= 3 && at + 2 < options.size() &&
             Get8(options, at + 2) <= length;
    }
    at += length;
  }
  return false;
}

Reference FourToSix::Answer(uint32_t type, uint32_t code, uint32_t mtu) {
  const size_t length = Get16(in_, 2);
  if (header_.offset != 0) return Drop("would be answered: fragment");
  if (header_.protocol == kIcmp &&
      (length == header_length_ || IsError4(Get8(in_, header_length_)))) {
    return Drop("would be answered: ICMP error");
  }
  Ip4Header ip;
  ip.tos = 0xc0;
  ip.df = true;
  ip.ttl = 64;
  ip.protocol = kIcmp;
  ip.src = Raw(config_.icmp_source4.address);
  ip.dst = header_.src;
  std::string icmp(8, '\0');
  Put8(icmp, 0, type);
  Put8(icmp, 1, code);
  Put32(icmp, 4, mtu);
  icmp += std::string(in_.substr(0, std::min<size_t>(length, 576 - 28)));
  Put16(icmp, 2, Complement(Sum(icmp)));
  Reference result;
  result.packets.push_back(ip.Write(icmp.size()) + icmp);
  result.note = absl::StrCat("answered ", type, "/", code);
  return result;
}

std::optional<std::string> FourToSix::ErrorHead(absl::string_view icmp) const {
  std::string out(8, '\0');
  const uint32_t type = Get8(icmp, 0), code = Get8(icmp, 1);
  const auto make = [&](uint32_t new_type, uint32_t new_code, uint32_t word) {
    Put8(out, 0, new_type);
    Put8(out, 1, new_code);
    Put32(out, 4, word);
    return out;
  };
  if (type == 3) {
    static constexpr int kCodes[16] = {0, 0, -2, 4, -3, 0, 0,  0,
                                       0, 1, 1,  0, 0,  1, -1, 1};
    if (code > 15 || kCodes[code] == -1) return std::nullopt;
    if (code == 2) return make(4, 1, 6);
    if (code == 4) {
      uint32_t mtu = Get16(icmp, 6);
      if (mtu == 0) {
        mtu = 68;
        for (const uint32_t plateau : {68, 296, 508, 1006, 1492, 2002, 4352,
                                       8166, 17914, 32000, 65535}) {
          if (plateau < Get16(icmp, 8 + 2)) mtu = plateau;
        }
      }
      mtu = std::min(mtu + 20, config_.mtu6);
      if (config_.mtu4 != 0) mtu = std::min(mtu, config_.mtu4 + 20);
      return make(2, 0, std::max(1280U, mtu));
    }
    return make(1, static_cast<uint32_t>(kCodes[code]), 0);
  }
  if (type == 11) return make(3, code, 0);
  if (type == 12 && (code == 0 || code == 2)) {
    static constexpr int kPointers[20] = {0,  1,  4, 4, -1, -1, -1, -1, 7,  6,
                                          -1, -1, 8, 8, 8,  8,  24, 24, 24, 24};
    const uint32_t pointer = Get8(icmp, 4);
    if (pointer >= 20 || kPointers[pointer] < 0) return std::nullopt;
    return make(4, 0, static_cast<uint32_t>(kPointers[pointer]));
  }
  return std::nullopt;
}

std::optional<std::string> FourToSix::Inner(absl::string_view original,
                                            std::string& why) const {
  if (original.size() < 20 || Get8(original, 0) >> 4 != 4) {
    why = "inner: not IPv4";
    return std::nullopt;
  }
  const size_t header_length = (Get8(original, 0) & 15) * 4;
  const size_t total = Get16(original, 2);
  if (header_length < 20 || header_length > original.size() ||
      header_length > total) {
    why = "inner: lengths";
    return std::nullopt;
  }
  const Ip4Header ip = Read4(original);
  const Mapped src = To6(config_, ip.src), dst = To6(config_, ip.dst);
  if (src.trouble != Trouble::kNone || dst.trouble != Trouble::kNone) {
    why = "inner: addresses";
    return std::nullopt;
  }
  Ip6Header out;
  out.traffic_class = ip.tos;
  out.hop_limit = ip.ttl;
  out.next = ip.protocol;
  out.src = src.address;
  out.dst = dst.address;
  if (ip.fragment()) {
    out.has_fragment = true;
    out.mf = ip.mf;
    out.id = ip.id;
    out.offset = ip.offset;
  }
  const absl::string_view before = original.substr(header_length);
  std::string after(before);
  const size_t length = total - header_length;
  if (length + (out.has_fragment ? 8 : 0) > 65535) {
    why = "inner: too long";
    return std::nullopt;
  }
  for (const uint32_t never : {0U, 43U, 44U, 58U, 60U, kIgmp}) {
    if (ip.protocol == never) {
      why = "inner: protocol";
      return std::nullopt;
    }
  }
  if (ip.protocol == kIcmp) {
    if (ip.fragment() || after.empty() ||
        (Get8(after, 0) != 8 && Get8(after, 0) != 0)) {
      why = "inner: ICMP";
      return std::nullopt;
    }
    Put8(after, 0, Get8(after, 0) == 8 ? 128 : 129);
    out.next = kIcmp6;
  }
  if (ip.offset == 0) {
    CarryChecksum(before, Pseudo(ip.src, ip.dst, ip.protocol, length), after,
                  Pseudo(out.src, out.dst, out.next, length), out.next);
  }
  return out.Write(length) + after;
}

Reference FourToSix::Error(absl::string_view icmp) {
  if (icmp.size() < 8 + 20) return Drop("error: too short");
  std::optional<std::string> head = ErrorHead(icmp);
  if (!head.has_value()) return Drop("error: no counterpart");
  absl::string_view original = icmp.substr(8);
  absl::string_view extensions;
  bool extended = false;
  const size_t attribute = Get8(icmp, 5) * 4;
  if (attribute != 0 && attribute <= original.size()) {
    extensions = original.substr(attribute);
    original = original.substr(0, attribute);
    const uint32_t type = Get8(*head, 0);
    extended = type == 1 || type == 3;
  }
  std::string why;
  std::optional<std::string> inner = Inner(original, why);
  if (!inner.has_value()) return Drop(why);
  constexpr size_t kRoom = 1280 - 48;
  if (extended) {
    Put8(*head, 4, JoinExtensions(*inner, std::string(extensions), 8, kRoom));
  } else {
    inner->resize(std::min(inner->size(), kRoom));
  }
  std::string message = *head + *inner;
  CarryChecksum(icmp, 0, message,
                Pseudo(out_.src, out_.dst, kIcmp6, message.size()), kIcmp6);
  Reference result;
  result.packets.push_back(out_.Write(message.size()) + message);
  return result;
}

Reference FourToSix::Run(absl::string_view in) {
  in_ = in;
  if (in.size() < 20) return Untouched(in);
  header_ = Read4(in);
  if (!MapExplicitly6(config_, header_.src).has_value()) {
    TranslatorConfig lenient = config_;
    lenient.not_global = NotGlobal::kTranslate;
    if (CheckEmbedded(lenient, header_.src) != Trouble::kNone &&
        CheckEmbedded(lenient, header_.dst) == Trouble::kNone &&
        Get8(in, 0) >> 4 == 4) {
      return Drop("illegal source");
    }
    return Untouched(in);
  }
  header_length_ = (Get8(in, 0) & 15) * 4;
  const size_t total = Get16(in, 2);
  if (Get8(in, 0) >> 4 != 4 || header_length_ < 20 || total < header_length_ ||
      total > in.size()) {
    return Drop("malformed");
  }
  if (Sum(in.substr(0, header_length_)) != 0) return Drop("header checksum");
  if (header_.offset + total > 65535) return Drop("malformed fragment");
  in = in_ = in.substr(0, total);
  const Mapped src = To6(config_, header_.src), dst = To6(config_, header_.dst);
  if (dst.trouble != Trouble::kNone) return Drop("destination");
  if (HasLiveSourceRoute(in.substr(20, header_length_ - 20))) {
    return Answer(3, 5, 0);
  }
  uint32_t ttl = header_.ttl;
  if (config_.hop_count == HopCount::kDecrement) {
    if (ttl <= 1) return Answer(11, 0, 0);
    --ttl;
  }
  for (const uint32_t never : {0U, 43U, 44U, 58U, 60U, kIgmp}) {
    if (header_.protocol == never) return Drop("protocol");
  }
  out_.traffic_class = header_.tos;
  out_.hop_limit = ttl;
  out_.next = header_.protocol == kIcmp ? kIcmp6 : header_.protocol;
  out_.src = src.address;
  out_.dst = dst.address;
  const absl::string_view payload = in.substr(header_length_);
  const bool error = header_.protocol == kIcmp && !payload.empty() &&
                     IsError4(Get8(payload, 0));
  if (header_.df && !error) {
    const uint32_t overhead = header_.fragment() ? 48 : 40;
    if (payload.size() + overhead > config_.mtu6) {
      return Answer(3, 4, config_.mtu6 - (overhead - 20));
    }
  }

  std::string after(payload);
  if (header_.protocol == kIcmp) {
    if (header_.fragment()) return Drop("fragmented ICMP");
    if (payload.size() < 8) return Drop("malformed");
    if (error) return Error(payload);
    const uint32_t type = Get8(payload, 0);
    if (type != 0 && type != 8) return Drop("ICMP type");
    Put8(after, 0, type == 8 ? 128 : 129);
  }
  if (header_.offset == 0) {
    const auto place = ChecksumPlace(header_.protocol);
    if (place.has_value() && payload.size() < *place + 2) {
      return Drop("malformed");
    }
    const uint32_t pseudo =
        Pseudo(out_.src, out_.dst, out_.next, payload.size());
    if (header_.protocol == kUdp && Get16(payload, 6) == 0) {
      if (header_.fragment()) return Drop("UDP 0 in a fragment");
      if (config_.udp_zero == ZeroChecksum::kDrop) return Drop("UDP 0");
      const size_t length = Get16(payload, 4);
      if (length < 8 || length > payload.size()) return Drop("malformed");
      const uint32_t check =
          Complement(Sum(payload.substr(0, length)) +
                     Pseudo(out_.src, out_.dst, kUdp, length));
      Put16(after, 6, check == 0 ? 0xffff : check);
    } else {
      CarryChecksum(
          payload,
          Pseudo(header_.src, header_.dst, header_.protocol, payload.size()),
          after, pseudo, out_.next);
    }
  }

  Reference result;
  out_.id = header_.id;
  out_.mf = header_.mf;
  out_.offset = header_.offset;
  out_.has_fragment = header_.fragment();
  const uint32_t limit = std::min(config_.mtu6, config_.lowest_ipv6_mtu);
  if (header_.df || after.size() + (header_.fragment() ? 48 : 40) <= limit) {
    result.packets.push_back(out_.Write(after.size()) + after);
    return result;
  }
  out_.has_fragment = true;
  const size_t piece = (limit - 48) / 8 * 8;
  for (size_t at = 0; at < after.size(); at += piece) {
    const std::string part = after.substr(at, piece);
    out_.offset = header_.offset + static_cast<uint32_t>(at);
    out_.mf = header_.mf || at + part.size() < after.size();
    result.packets.push_back(out_.Write(part.size()) + part);
  }
  return result;
}

}  // namespace

Reference TranslateFourToSix(const TranslatorConfig& config,
                             absl::string_view packet) {
  return FourToSix(config).Run(packet);
}

}  // namespace netpolicy::clat::testing
