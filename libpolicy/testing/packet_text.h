// SPDX-License-Identifier: Apache-2.0
//
// Packets as text: annotated hex for files and diffs, a line of scapy and a
// matcher for failures.
//
// The format of the files: hexadecimal bytes, in groups of even length as one
// likes; `#` starts a comment; a paragraph is a packet. A paragraph's comments
// of their own lines are its title. Paragraphs without bytes are skipped.
//
//   # a question
//   60000000 0009 11 40               # IPv6 fd77::1 > fd77::2 ...
//   fd770000000000000000000000000001
//   fd770000000000000000000000000002
//   1000 0035 0009 0f4c               # UDP 4096 > 53 ...
//   78                                # data
//
//   EXPECT_THAT(output, EqualsPacket(PacketBuilder().Ip4({})...Build()));

#ifndef NETPOLICY_LIBPOLICY_TESTING_PACKET_TEXT_H_
#define NETPOLICY_LIBPOLICY_TESTING_PACKET_TEXT_H_

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"

namespace netpolicy::testing {

// What a packet begins with.
enum class LinkType { kIp, kEthernet };

struct TextPacket {
  // The comment lines of the paragraph, without "# ", joined by '\n'.
  std::string title;
  std::string bytes;

  friend bool operator==(const TextPacket&, const TextPacket&) = default;
};

// Reads a whole file. kInvalidArgument names the line: something else than
// hexadecimal digits, or an odd number of them in a group.
absl::StatusOr<std::vector<TextPacket>> ParsePackets(absl::string_view text);

// One packet in the format above, a line or more for each header, annotated.
// Ends with a newline; packets are separated by adding another one. Reading it
// back gives the same bytes and the same title.
std::string FormatPacket(const TextPacket& packet,
                         LinkType link = LinkType::kIp);

// The packet as a scapy expression, for a quick look with other tools:
// IPv6(src="fd77::1",dst="fd77::2")/UDP(sport=4096,dport=53)/Raw(...). Best
// effort: checksums and lengths only when they are wrong, options as a comment.
std::string ToScapy(absl::string_view packet, LinkType link = LinkType::kIp);

// One header of a packet, as far as it is there.
struct PacketLayer {
  size_t offset = 0;
  size_t size = 0;
  std::string summary;  // "UDP 4096 > 53, length 9"
  std::string scapy;    // "UDP(sport=4096,dport=53)"
};

// The headers in order, then the data; together they cover the whole packet.
// ICMP errors are followed by the headers of the packet they quote.
std::vector<PacketLayer> DissectPacket(absl::string_view packet, LinkType link);

namespace internal {

class EqualsPacketMatcher {
 public:
  using is_gtest_matcher = void;

  EqualsPacketMatcher(std::string expected, LinkType link)
      : expected_(std::move(expected)), link_(link) {}

  bool MatchAndExplain(absl::string_view actual,
                       ::testing::MatchResultListener* listener) const;
  void DescribeTo(std::ostream* os) const;
  void DescribeNegationTo(std::ostream* os) const;

 private:
  std::string expected_;
  LinkType link_;
};

}  // namespace internal

// Matches the same bytes. A mismatch says in which header the first difference
// is, and shows both packets.
inline internal::EqualsPacketMatcher EqualsPacket(
    absl::string_view expected, LinkType link = LinkType::kIp) {
  return {std::string(expected), link};
}

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_PACKET_TEXT_H_
