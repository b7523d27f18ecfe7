// SPDX-License-Identifier: Apache-2.0

// RFC 7915, 5.

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

class SixToFour {
 public:
  explicit SixToFour(const TranslatorConfig& config) : config_(config) {}

  Reference Run(absl::string_view in);

 private:
  Reference Answer(uint32_t type, uint32_t code, uint32_t word);
  Reference Error(absl::string_view icmp);
  std::optional<std::string> Inner(absl::string_view original,
                                   std::string& why) const;
  std::optional<std::string> ErrorHead(absl::string_view icmp) const;
  std::string StandIn(absl::string_view sender) const;

  const TranslatorConfig& config_;
  absl::string_view in_;
  Chain chain_;
  std::string src6_, dst6_;
  Ip4Header out_;
  bool free_identification_ = false;
};

// The choice within a pool is the implementation's; it is told here.
std::string SixToFour::StandIn(absl::string_view sender) const {
  const uint32_t first = config_.icmp_source4.address.ToInt();
  const uint32_t count = 1U << (32 - config_.icmp_source4.length);
  // In the byte order of the machine that the program runs on.
  uint32_t hash = 0;
  for (size_t i = 0; i < 16; i += 4) {
    hash ^= __builtin_bswap32(Get32(sender, i));
  }
  hash = (hash ^ hash >> 16) * 0x9e3779b1U >> 16;
  return Raw(Ipv4Address::FromInt(count == 1 ? first : first + hash % count));
}

Reference SixToFour::Answer(uint32_t type, uint32_t code, uint32_t word) {
  const absl::string_view payload = in_.substr(40 + chain_.length);
  if (chain_.last == kIcmp6) {
    if (payload.empty() || chain_.offset != 0) return Drop("unclear");
    const uint32_t was = Get8(payload, 0);
    if (was < 128 || was == 137) return Drop("would be answered: ICMP error");
  }
  if (src6_ == std::string(16, '\0') || Get8(src6_, 0) == 0xff) {
    return Drop("nobody to answer");
  }
  Ip6Header ip;
  ip.hop_limit = 64;
  ip.next = kIcmp6;
  ip.src =
      config_.icmp_source6.has_value() ? Raw(*config_.icmp_source6) : dst6_;
  ip.dst = src6_;
  std::string icmp(8, '\0');
  Put8(icmp, 0, type);
  Put8(icmp, 1, code);
  Put32(icmp, 4, word);
  icmp += std::string(in_.substr(0, 1280 - 48));
  Put16(icmp, 2,
        Complement(Sum(icmp) + Pseudo(ip.src, ip.dst, kIcmp6, icmp.size())));
  Reference result;
  result.packets.push_back(ip.Write(icmp.size()) + icmp);
  result.note = absl::StrCat("answered ", type, "/", code);
  return result;
}

std::optional<std::string> SixToFour::ErrorHead(absl::string_view icmp) const {
  std::string out(8, '\0');
  const uint32_t type = Get8(icmp, 0), code = Get8(icmp, 1);
  const auto make = [&](uint32_t new_type, uint32_t new_code, uint32_t word) {
    Put8(out, 0, new_type);
    Put8(out, 1, new_code);
    Put32(out, 4, word);
    return out;
  };
  switch (type) {
    case 1: {
      static constexpr int kCodes[5] = {1, 10, 1, 1, 3};
      if (code > 4) return std::nullopt;
      return make(3, static_cast<uint32_t>(kCodes[code]), 0);
    }
    case 2: {
      uint32_t mtu = std::min(Get32(icmp, 4), config_.mtu6);
      mtu = std::max<uint32_t>(mtu, 88) - 20;
      if (config_.mtu4 != 0) mtu = std::min(mtu, config_.mtu4);
      return make(3, 4, std::min(mtu, 65535U));
    }
    case 3:
      return make(11, code, 0);
    case 4: {
      if (code == 1) return make(3, 2, 0);
      if (code != 0) return std::nullopt;
      const uint32_t pointer = Get32(icmp, 4);
      uint32_t to = 0;
      if (pointer <= 1) {
        to = pointer;
      } else if (pointer == 4 || pointer == 5) {
        to = 2;
      } else if (pointer == 6) {
        to = 9;
      } else if (pointer == 7) {
        to = 8;
      } else if (pointer >= 8 && pointer < 24) {
        to = 12;
      } else if (pointer >= 24 && pointer < 40) {
        to = 16;
      } else {
        return std::nullopt;
      }
      return make(12, 0, to << 24);
    }
    default:
      return std::nullopt;
  }
}

std::optional<std::string> SixToFour::Inner(absl::string_view original,
                                            std::string& why) const {
  if (original.size() < 40 || Get8(original, 0) >> 4 != 6) {
    why = "inner: not IPv6";
    return std::nullopt;
  }
  const Chain chain = Walk(original);
  if (!chain.trouble.empty()) {
    why = absl::StrCat("inner: ", chain.trouble);
    return std::nullopt;
  }
  if (Get16(original, 4) < chain.length || chain.last == kIcmp ||
      chain.last == kIgmp) {
    why = "inner: lengths or protocol";
    return std::nullopt;
  }
  const size_t length = Get16(original, 4) - chain.length;
  if (length + 20 > 65535) {
    why = "inner: too long";
    return std::nullopt;
  }
  const std::string src6(original.substr(8, 16)), dst6(original.substr(24, 16));
  const Mapped src = To4(config_, src6), dst = To4(config_, dst6);
  if (src.trouble != Trouble::kNone || dst.trouble != Trouble::kNone) {
    why = "inner: addresses";
    return std::nullopt;
  }
  Ip4Header out;
  out.tos = Get32(original, 0) >> 20 & 0xff;
  out.ttl = Get8(original, 7);
  out.protocol = chain.last == kIcmp6 ? kIcmp : chain.last;
  out.src = src.address;
  out.dst = dst.address;
  out.df = length + 20 > 1260;
  if (chain.has_fragment) {
    out.df = false;
    out.mf = chain.mf;
    out.offset = chain.offset;
    out.id = chain.id & 0xffff;
  }
  const absl::string_view before = original.substr(40 + chain.length);
  std::string after(before);
  if (chain.last == kIcmp6) {
    if (!chain.whole() || after.empty() ||
        (Get8(after, 0) != 128 && Get8(after, 0) != 129)) {
      why = "inner: ICMP";
      return std::nullopt;
    }
    Put8(after, 0, Get8(after, 0) == 128 ? 8 : 0);
  }
  if (chain.offset == 0) {
    CarryChecksum(before, Pseudo(src6, dst6, chain.last, length), after,
                  Pseudo(out.src, out.dst, out.protocol, length), out.protocol);
  }
  return out.Write(length) + after;
}

Reference SixToFour::Error(absl::string_view icmp) {
  if (icmp.size() < 8 + 40) return Drop("error: too short");
  std::optional<std::string> head = ErrorHead(icmp);
  if (!head.has_value()) return Drop("error: no counterpart");
  absl::string_view original = icmp.substr(8);
  absl::string_view extensions;
  bool extended = false;
  const uint32_t type = Get8(icmp, 0);
  const size_t attribute = Get8(icmp, 4) * 8;
  if ((type == 1 || type == 3) && attribute != 0 &&
      attribute <= original.size()) {
    extensions = original.substr(attribute);
    original = original.substr(0, attribute);
    extended = true;
  }
  std::string why;
  std::optional<std::string> inner = Inner(original, why);
  if (!inner.has_value()) return Drop(why);
  constexpr size_t kRoom = 576 - 28;
  if (extended) {
    Put8(*head, 5, JoinExtensions(*inner, std::string(extensions), 4, kRoom));
  } else {
    inner->resize(std::min(inner->size(), kRoom));
  }
  std::string message = *head + *inner;
  CarryChecksum(icmp, Pseudo(src6_, dst6_, kIcmp6, icmp.size()), message, 0,
                kIcmp);
  Reference result;
  result.free_identification = free_identification_;
  result.packets.push_back(out_.Write(message.size()) + message);
  return result;
}

Reference SixToFour::Run(absl::string_view in) {
  in_ = in;
  if (in.size() < 40) return Untouched(in);
  src6_ = std::string(in.substr(8, 16));
  dst6_ = std::string(in.substr(24, 16));
  const std::optional<std::string> dst = MapExplicitly4(config_, dst6_);
  if (!dst.has_value()) return Untouched(in);
  const size_t payload_length = Get16(in, 4);
  if (Get8(in, 0) >> 4 != 6) return Drop("malformed");
  if (payload_length == 0 && Get8(in, 6) == 0) return Drop("jumbogram");
  if (payload_length + 40 > in.size()) return Drop("malformed");
  in = in_ = in.substr(0, payload_length + 40);
  chain_ = Walk(in);
  if (!chain_.trouble.empty()) return Drop(chain_.trouble);
  const absl::string_view payload = in.substr(40 + chain_.length);
  if (chain_.offset + payload.size() + 20 > 65535) return Drop("too long");

  std::optional<uint32_t> type;
  if (chain_.last == kIcmp6 && chain_.whole()) {
    if (payload.size() < 8) return Drop("malformed");
    type = Get8(payload, 0);
  }
  const bool error = type.has_value() && *type < 128;
  Mapped src = To4(config_, src6_);
  if (src.trouble == Trouble::kNoCounterpart) {
    if (type.has_value() && *type >= 133 && *type <= 137 &&
        Get8(in, 7) == 255) {
      return Untouched(in);
    }
    const bool never_sends = Get8(src6_, 0) == 0xff ||
                             src6_ == std::string(16, '\0') ||
                             src6_ == std::string(15, '\0') + '\1';
    if (!error || never_sends) return Drop("source");
    src = {StandIn(src6_)};
  }
  if (src.trouble != Trouble::kNone) return Drop("source not global");
  if (chain_.segments_left.has_value()) {
    return Answer(4, 0, static_cast<uint32_t>(*chain_.segments_left));
  }
  uint32_t hop_limit = Get8(in, 7);
  if (config_.hop_count == HopCount::kDecrement) {
    if (hop_limit <= 1) return Answer(3, 0, 0);
    --hop_limit;
  }
  if (chain_.last == kIcmp || chain_.last == kIgmp) return Drop("protocol");
  out_.tos = Get32(in, 0) >> 20 & 0xff;
  out_.ttl = hop_limit;
  out_.protocol = chain_.last == kIcmp6 ? kIcmp : chain_.last;
  out_.src = src.address;
  out_.dst = *dst;
  if (chain_.has_fragment) {
    out_.id = chain_.id & 0xffff;
    out_.mf = chain_.mf;
    out_.offset = chain_.offset;
  } else {
    free_identification_ = true;
    out_.df = !error && payload.size() + 20 > 1260;
  }
  if (error) return Error(payload);
  const bool too_big = config_.mtu4 != 0 && payload.size() + 20 > config_.mtu4;
  if (too_big && out_.df) {
    return Answer(2, 0, std::max(1280U, config_.mtu4 + 20));
  }

  std::string after(payload);
  if (chain_.last == kIcmp6) {
    if (!chain_.whole()) return Drop("fragmented ICMP");
    if (*type != 128 && *type != 129) return Drop("ICMP type");
    Put8(after, 0, *type == 128 ? 8 : 0);
  }
  if (chain_.offset == 0) {
    const auto place = ChecksumPlace(chain_.last);
    if (place.has_value() && payload.size() < *place + 2) {
      return Drop("malformed");
    }
    if (chain_.last == kUdp && Get16(payload, 6) == 0) return Drop("UDP 0");
    CarryChecksum(payload, Pseudo(src6_, dst6_, chain_.last, payload.size()),
                  after,
                  Pseudo(out_.src, out_.dst, out_.protocol, payload.size()),
                  out_.protocol);
  }
  Reference result;
  result.free_identification = free_identification_;
  if (!too_big) {
    result.packets.push_back(out_.Write(after.size()) + after);
    return result;
  }
  const size_t piece = (config_.mtu4 - 20) / 8 * 8;
  const bool mf = out_.mf;
  const uint32_t offset = out_.offset;
  for (size_t at = 0; at < after.size(); at += piece) {
    const std::string part = after.substr(at, piece);
    out_.offset = offset + static_cast<uint32_t>(at);
    out_.mf = mf || at + part.size() < after.size();
    result.packets.push_back(out_.Write(part.size()) + part);
  }
  return result;
}

}  // namespace

Reference TranslateSixToFour(const TranslatorConfig& config,
                             absl::string_view packet) {
  return SixToFour(config).Run(packet);
}

}  // namespace netpolicy::clat::testing
