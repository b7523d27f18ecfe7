// SPDX-License-Identifier: Apache-2.0

// The tool as people and scripts meet it: files in, files out, reasons, exit
// codes. What becomes of packets is the clause tests' business.

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/packet_builder.h"
#include "libpolicy/testing/scratch_dir.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::FragmentPacket;
using netpolicy::testing::IsOk;
using netpolicy::testing::PacketBuilder;
using ::testing::HasSubstr;

constexpr char kTool[] = "clat/offline/clat_translate";
constexpr char kWho[] =
    " --prefix 64:ff9b::/96 --local4 192.0.0.1 --local6 2001:db8::464 ";

PacketBuilder Four(uint8_t ttl = 64, const char* dst = "198.51.100.5") {
  return PacketBuilder().Ip4(
      {.src = "192.0.0.1", .dst = dst, .id = 9, .ttl = ttl});
}
PacketBuilder Six() {
  return PacketBuilder().Ip6(
      {.src = "2001:db8::464", .dst = "64:ff9b::c633:6405", .hop_limit = 63});
}
std::string Hex(const std::string& packet) {
  return absl::BytesToHexString(packet);
}

class ClatTranslate : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    auto scratch = netpolicy::testing::ScratchDir::Create();
    ASSERT_THAT(scratch, IsOk());
    scratch_ =
        std::make_unique<netpolicy::testing::ScratchDir>(*std::move(scratch));
  }

  std::string Path(const std::string& name) { return scratch_->File(name); }

  void Write(const std::string& name, const std::vector<std::string>& lines) {
    std::ofstream(Path(name)) << absl::StrJoin(lines, "\n") << "\n";
  }
  std::string Read(const std::string& name) {
    std::ostringstream content;
    content << std::ifstream(Path(name)).rdbuf();
    return content.str();
  }

  // Runs it in the scratch directory; its exit code. Standard output and error
  // are in the files "stdout" and "stderr".
  int Run(const std::string& arguments) {
    const char* directory = std::getenv("PWD");
    const int status = std::system(
        absl::StrCat("tool=", directory == nullptr ? "." : directory, "/",
                     kTool, "; cd ", scratch_->path(), " && $tool ", arguments,
                     " > stdout 2> stderr")
            .c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::unique_ptr<netpolicy::testing::ScratchDir> scratch_;
};

TEST_F(ClatTranslate, OrderIsKeptAndADroppedPacketIsAnEmptyLine) {
  const std::string last = Four(1).Udp({}).Build();
  const std::string others =
      PacketBuilder().Ip4({.src = "10.0.0.1"}).Udp({}).Build();
  Write("in.hex",
        {"# a comment", Hex(Four().Udp({}).Payload("one").Build()), "",
         Hex(Four(64, "224.0.0.5").Udp({}).Build()) + " # multicast", Hex(last),
         Hex(Four().Tcp({}).PayloadOfSize(2000).Build()), Hex(others), "4500",
         Hex(Four().Tcp({}).Build())});
  EXPECT_EQ(Run(absl::StrCat(kWho, "--direction 4to6 in.hex out.hex")), 0);

  const auto fragments =
      FragmentPacket(Six().Tcp({}).PayloadOfSize(2000).Build(), 1232, 9);
  ASSERT_EQ(fragments.size(), 2u);
  const std::string answer = PacketBuilder()
                                 .Ip4({.src = "192.0.0.8",
                                       .dst = "192.0.0.1",
                                       .tos = 0xc0,
                                       .dont_fragment = true})
                                 .Icmp4({.type = 11})
                                 .Payload(last)
                                 .Build();
  EXPECT_EQ(Read("out.hex"),
            absl::StrJoin(
                {Hex(Six().Udp({}).Payload("one").Build()), std::string(),
                 Hex(answer), Hex(fragments[0]), Hex(fragments[1]), Hex(others),
                 std::string(), Hex(Six().Tcp({}).Build()), std::string()},
                "\n"));
  EXPECT_EQ(Read("stderr"),
            "in.hex:4: destination: destination address can't be translated\n"
            "in.hex:5: ttl_exceeded: TTL or hop limit has run out; answered\n"
            "in.hex:7: not_ours: not ours, left alone\n"
            "in.hex:8: malformed: shorter than an IP header\n");
}

TEST_F(ClatTranslate, PcapLeavesOutWhatIsDropped) {
  const auto ethernet = [](const char* dst) {
    return PacketBuilder()
        .Ethernet({})
        .Ip4({.src = "192.0.0.1", .dst = dst})
        .Udp({})
        .Build();
  };
  Write("in.hex", {Hex(ethernet("198.51.100.5")), Hex(ethernet("224.0.0.5")),
                   Hex(ethernet("198.51.100.5"))});
  ASSERT_EQ(Run(absl::StrCat(kWho, "--direction 4to6 in.hex out.pcap")), 0);
  // They are not of the version that this one translates: as they are.
  ASSERT_EQ(Run(absl::StrCat(kWho, "--direction 4to6 out.pcap look.hex")), 0);
  const std::string line = Hex(PacketBuilder()
                                   .Ethernet({})
                                   .Ip6({.src = "2001:db8::464",
                                         .dst = "64:ff9b::c633:6405",
                                         .hop_limit = 63})
                                   .Udp({})
                                   .Build());
  EXPECT_EQ(Read("look.hex"), absl::StrCat(line, "\n", line, "\n"));
  // Without a suffix that says otherwise like the input; pipes will do.
  ASSERT_EQ(Run(absl::StrCat(kWho, "--direction 4to6 - copy < out.pcap")), 0);
  EXPECT_EQ(Read("copy"), Read("out.pcap"));
}

TEST_F(ClatTranslate, OptionsMayStandInAnyOrder) {
  Write("in", {Hex(Four().Udp({}).Build())});
  const std::string expected = Hex(Six().Udp({}).Build()) + "\n";
  for (const char* arguments :
       {"--direction 4to6 --prefix 64:ff9b::/96 --local6 2001:db8::464 "
        "--local4 "
        "192.0.0.1 in -",
        "in - --direction=4to6 --prefix=64:ff9b::/96 --local4=192.0.0.1 "
        "--local6=2001:db8::464 --mtu4 1500 --mtu6 1500 --lowest-ipv6-mtu 1280 "
        "--udp-zero compute --icmp-source4 192.0.0.8",
        "--direction 4to6 --prefix 64:ff9b::/96 --eam "
        "192.0.0.1=2001:db8::464 in -"}) {
    EXPECT_EQ(Run(arguments), 0) << arguments << Read("stderr");
    EXPECT_EQ(Read("stdout"), expected) << arguments;
    EXPECT_EQ(Read("stderr"), "") << arguments;
  }
}

struct MessageRow {
  const char* arguments;
  const char* message;
};

TEST_F(ClatTranslate, WrongUsageIsToldAndNothingIsWritten) {
  Write("in", {Hex(Four().Udp({}).Build())});
  for (const MessageRow& row : {
           MessageRow{"--prefix 64:ff9b::/95 --local4 192.0.0.1 --local6 "
                      "2001:db8::464 --direction 4to6 in out",
                      "64:ff9b::/95"},
           {"--prefix 64:ff9b::/96 --local4 192.0.0.1 --direction 4to6 in out",
            "not the same number of each"},
           {"--prefix 64:ff9b::/96 --direction 4to6 in out", "there are none"},
           {"--prefix 64:ff9b::/96 --local4 192.0.0.1 --local6 2001:db8::464 "
            "--direction sideways in out",
            "sideways"},
           {"--prefix 64:ff9b::/96 --local4 192.0.0.1 --local6 2001:db8::464 "
            "--direction 4to6 --mtu6 1279 in out",
            "mtu6: not 1280 to"},
           {"--prefix 64:ff9b::/96 --eam 10.0.0.0/8 --direction 4to6 in out",
            "not of the form"},
           {"--prefix 64:ff9b::/96 --local4 192.0.0.1 --local6 2001:db8::464 "
            "in out",
            "--direction is required"},
       }) {
    EXPECT_EQ(Run(row.arguments), 2) << row.arguments;
    EXPECT_THAT(Read("stderr"), HasSubstr(row.message));
    EXPECT_FALSE(std::ifstream(Path("out")).good()) << row.arguments;
  }
}

TEST_F(ClatTranslate, HelpAndVersionAreNoFailure) {
  EXPECT_EQ(Run("--help"), 0);
  EXPECT_THAT(Read("stdout"), HasSubstr("--direction"));
  EXPECT_EQ(Run("--version"), 0);
  EXPECT_THAT(Read("stdout"), ::testing::StartsWith("clat_translate "));
}

// A block of pcapng in this machine's byte order.
std::string Block(uint32_t type, const std::string& body) {
  const auto number = [](uint32_t value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  std::string padded = body;
  padded.resize((body.size() + 3) / 4 * 4);
  const uint32_t length = static_cast<uint32_t>(padded.size() + 12);
  return number(type) + number(length) + padded + number(length);
}

// Section header; an interface for each link type; a packet on the last one.
std::string PcapNg(const std::vector<uint16_t>& links,
                   const std::string& packet) {
  std::string file =
      Block(0x0a0d0d0a, std::string("\x4d\x3c\x2b\x1a\x01\0\0\0", 8) +
                            std::string(8, '\xff'));
  for (const uint16_t link : links) {
    file += Block(1, std::string(reinterpret_cast<const char*>(&link), 2) +
                         std::string(6, '\0'));
  }
  const uint32_t header[] = {static_cast<uint32_t>(links.size() - 1), 0, 1,
                             static_cast<uint32_t>(packet.size()),
                             static_cast<uint32_t>(packet.size())};
  return file + Block(6, std::string(reinterpret_cast<const char*>(header),
                                     sizeof(header)) +
                             packet);
}

TEST_F(ClatTranslate, PcapNgIsRead) {
  constexpr uint16_t kRaw = 101;
  std::ofstream(Path("in.pcapng"), std::ios::binary)
      << PcapNg({kRaw}, Four().Udp({}).Payload("one").Build());
  EXPECT_EQ(Run(absl::StrCat(kWho, "--direction 4to6 in.pcapng out.hex")), 0)
      << Read("stderr");
  EXPECT_EQ(Read("out.hex"), Hex(Six().Udp({}).Payload("one").Build()) + "\n");
}

TEST_F(ClatTranslate, AFileThatCannotBeReadIsAFailureAndNothingIsWritten) {
  Write("digits", {"45zz"});
  Write("odd", {"450"});
  const std::string packet = Four().Udp({}).Build();
  constexpr uint16_t kEthernet = 1, kRaw = 101, kWifi = 105;
  std::ofstream(Path("wifi"), std::ios::binary) << PcapNg({kWifi}, packet);
  std::ofstream(Path("two"), std::ios::binary)
      << PcapNg({kEthernet, kRaw}, packet);
  std::ofstream(Path("cut"), std::ios::binary)
      << PcapNg({kRaw}, packet).substr(0, 60);
  for (const MessageRow& row :
       {MessageRow{"digits out", "digits:1: not a hexadecimal digit"},
        {"odd out", "odd:1: odd number"},
        {"wifi out", "read wifi: link type 105 is neither Ethernet nor raw IP"},
        {"two out", "read two: an interface has a type 101 different from"},
        {"cut out", "read cut: truncated pcapng dump file"},
        {"absent out", "open absent: no such file or directory"}}) {
    EXPECT_EQ(Run(absl::StrCat(kWho, "--direction 4to6 ", row.arguments)), 1)
        << row.arguments;
    EXPECT_THAT(Read("stderr"), ::testing::StartsWith("clat_translate: "))
        << row.arguments;
    EXPECT_THAT(Read("stderr"), HasSubstr(row.message));
    EXPECT_FALSE(std::ifstream(Path("out")).good()) << row.arguments;
  }
}

}  // namespace
}  // namespace netpolicy::clat
