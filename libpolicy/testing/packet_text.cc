// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/packet_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::testing {
namespace {

constexpr size_t kBytesPerLine = 16;

// Appends the bytes that a line without its comment stands for.
absl::Status ParseLine(absl::string_view line, size_t number,
                       std::string& bytes) {
  for (absl::string_view group :
       absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty())) {
    const std::string where = absl::StrCat("parse packets line ", number, ": ");
    if (!std::all_of(group.begin(), group.end(), absl::ascii_isxdigit)) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, group, " is not hexadecimal"));
    }
    if (group.size() % 2 != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, group, " has an odd number of digits"));
    }
    absl::StrAppend(&bytes, absl::HexStringToBytes(group));
  }
  return absl::OkStatus();
}

std::string Scapy(const std::vector<PacketLayer>& layers) {
  return absl::StrJoin(layers, "/",
                       [](std::string* out, const PacketLayer& layer) {
                         absl::StrAppend(out, layer.scapy);
                       });
}

}  // namespace

absl::StatusOr<std::vector<TextPacket>> ParsePackets(absl::string_view text) {
  std::vector<TextPacket> packets;
  TextPacket packet;
  std::vector<absl::string_view> title;
  size_t number = 0;
  const auto finish = [&] {
    packet.title = absl::StrJoin(title, "\n");
    if (!packet.bytes.empty()) packets.push_back(std::move(packet));
    packet = {};
    title.clear();
  };
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) {
      finish();
      continue;
    }
    if (line[0] == '#') {
      title.push_back(absl::StripAsciiWhitespace(line.substr(1)));
      continue;
    }
    NP_RETURN_IF_ERROR(
        ParseLine(line.substr(0, line.find('#')), number, packet.bytes));
  }
  finish();
  return packets;
}

std::string FormatPacket(const TextPacket& packet, LinkType link) {
  std::string text;
  if (!packet.title.empty()) {
    for (absl::string_view line : absl::StrSplit(packet.title, '\n')) {
      absl::StrAppend(&text, "# ", line, "\n");
    }
  }
  for (const PacketLayer& layer : DissectPacket(packet.bytes, link)) {
    for (size_t done = 0; done < layer.size; done += kBytesPerLine) {
      std::string line = absl::BytesToHexString(
          absl::string_view(packet.bytes)
              .substr(layer.offset + done,
                      std::min(kBytesPerLine, layer.size - done)));
      if (done == 0) {
        line.resize(2 * kBytesPerLine, ' ');
        absl::StrAppend(&line, "  # ", layer.summary);
      }
      absl::StrAppend(&text, line, "\n");
    }
  }
  return text;
}

std::string ToScapy(absl::string_view packet, LinkType link) {
  return Scapy(DissectPacket(packet, link));
}

namespace internal {

bool EqualsPacketMatcher::MatchAndExplain(
    absl::string_view actual, ::testing::MatchResultListener* listener) const {
  if (actual == expected_) return true;
  const size_t common = std::min(actual.size(), expected_.size());
  size_t offset = 0;
  while (offset < common && actual[offset] == expected_[offset]) ++offset;
  *listener << "which differs from byte " << offset;
  for (const PacketLayer& layer : DissectPacket(expected_, link_)) {
    if (offset < layer.offset || offset >= layer.offset + layer.size) continue;
    *listener << " (byte " << offset - layer.offset << " of " << layer.summary
              << ")";
  }
  *listener << ";\nactual:   " << ToScapy(actual, link_)
            << "\nexpected: " << ToScapy(expected_, link_)
            << "\nactual bytes:\n"
            << FormatPacket({"", std::string(actual)}, link_);
  return false;
}

void EqualsPacketMatcher::DescribeTo(std::ostream* os) const {
  *os << "is the packet\n" << FormatPacket({"", expected_}, link_);
}

void EqualsPacketMatcher::DescribeNegationTo(std::ostream* os) const {
  *os << "is not the packet\n" << FormatPacket({"", expected_}, link_);
}

}  // namespace internal
}  // namespace netpolicy::testing
