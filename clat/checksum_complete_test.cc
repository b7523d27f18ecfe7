// SPDX-License-Identifier: Apache-2.0

// Packets with a sum of all that is in them (CHECKSUM_COMPLETE), as many
// network cards make it. Without such a card: the kernel hands it on of what it
// took out of a VXLAN tunnel when it had to sum up the datagram around it.
// After each packet a program behind ours compares the sum with the bytes.

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clat/direct.h"
#include "clat/testing/checksum_complete.skel.h"
#include "clat/testing/testbed.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/tc_link.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::clat {
namespace {

using netpolicy::testing::Actor;
using netpolicy::testing::ActorSocket;
using netpolicy::testing::BpfFs;
using netpolicy::testing::HasErrno;
using netpolicy::testing::IpAddress;
using netpolicy::testing::IsOk;
using netpolicy::testing::IsOkAndHolds;
using netpolicy::testing::NetNamespace;
using netpolicy::testing::Offload;
using netpolicy::testing::ScopedNetns;
using netpolicy::testing::Toggle;
using netpolicy::testing::VethPair;
using testing::Testbed;

constexpr char kPeer4[] = "203.0.113.7";
constexpr uint16_t kPort = 7;
constexpr uint16_t kClosedPort = 9;
constexpr absl::Duration kPatience = absl::Seconds(20);

// Of packets of one IP version.
struct Sums {
  uint64_t right = 0;
  uint64_t wrong = 0;
  uint64_t none = 0;
};

struct Pair {
  const char* name;
  const char* prefix;
};

class ChecksumCompleteTest : public ::testing::TestWithParam<Pair> {
 protected:
  void SetUp() override {
    if (auto missing = netpolicy::testing::MissingForBpfTests()) {
      GTEST_SKIP() << *missing;
    }
    auto host = NetNamespace::Create();
    ASSERT_THAT(host, IsOk());
    host_.emplace(*std::move(host));
    auto peer = NetNamespace::Create();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    auto cable = VethPair::Create(*host_, *peer_,
                                  {.left_name = "eth0",
                                   .right_name = "eth0",
                                   .left_v4 = "10.77.0.1",
                                   .right_v4 = "10.77.0.2",
                                   .left_v6 = std::nullopt,
                                   .right_v6 = std::nullopt});
    ASSERT_THAT(cable, IsOk());
    cable_.emplace(*std::move(cable));
    // So that there is a sum in each packet for the other end to check.
    for (const auto* ns : {&*host_, &*peer_}) {
      ASSERT_THAT(ns->SetOffload("eth0", Offload::kTxChecksum, Toggle::kOff),
                  IsOk());
    }
    AddTunnel(*host_, "10.77.0.1", "10.77.0.2", "2001:db8:1::2");
    if (IsSkipped() || HasFatalFailure()) return;
    AddTunnel(*peer_, "10.77.0.2", "10.77.0.1", "2001:db8:1::1");
    // What is put together again has no such sum.
    ASSERT_THAT(host_->SetOffload("tunnel", Offload::kGro, Toggle::kOff),
                IsOk());
    ASSERT_THAT(host_->AddRoute({.via = "2001:db8:1::1", .device = "tunnel"}),
                IsOk());
    const Pref64 prefix = *Pref64::Parse(GetParam().prefix);
    peer6_ =
        *IpAddress::Parse(prefix.Embed(*Ipv4Address::Parse(kPeer4)).ToString());
    ASSERT_THAT(peer_->AddAddress("lo", peer6_, 128), IsOk());

    auto bpffs = BpfFs::Mount();
    ASSERT_THAT(bpffs, IsOk());
    bpffs_ = std::make_unique<BpfFs>(*std::move(bpffs));
    checker_ = checksum_complete_bpf::open_and_load();
    ASSERT_NE(checker_, nullptr);
    {
      auto inside = ScopedNetns::Enter(*host_);
      ASSERT_THAT(inside, IsOk());
      DirectClat clat(bpffs_->path() + "/clat");
      ASSERT_THAT(clat.Start("tunnel", {.prefix = prefix}), IsOk());
      auto index = host_->LinkIndex("tunnel");
      ASSERT_THAT(index, IsOk());
      const TcPlace place{IfIndex{static_cast<uint32_t>(*index)},
                          TcHook::kIngress};
      ASSERT_THAT(
          AttachTc(place,
                   {.fd = bpf_program__fd(checker_->progs.np_check_complete),
                    .name = "np_check_complete"},
                   bpffs_->path() + "/checker", {}),
          IsOk());
    }
    auto app = Actor::Spawn({.netns = host_->fd()});
    ASSERT_THAT(app, IsOk());
    app_.emplace(*std::move(app));
    auto server = Actor::Spawn({.netns = peer_->fd()});
    ASSERT_THAT(server, IsOk());
    server_.emplace(*std::move(server));
  }

  ~ChecksumCompleteTest() override { checksum_complete_bpf::destroy(checker_); }

  void AddTunnel(const NetNamespace& ns, const char* local, const char* remote,
                 const char* address) {
    const auto made = Testbed::Shell(
        ns, absl::StrCat("/usr/sbin/ip link add tunnel type vxlan id 5 "
                         "dstport 4789 udpcsum local ",
                         local, " remote ", remote));
    if (!made.ok() && absl::StrContains(made.status().message(), "Unknown")) {
      GTEST_SKIP() << "needs VXLAN in the kernel: " << made.status();
    }
    ASSERT_THAT(made, IsOk());
    ASSERT_THAT(ns.SetLink("tunnel", Toggle::kOn), IsOk());
    ASSERT_THAT(ns.AddAddress("tunnel", address, 64), IsOk());
  }

  // Of what passed the checker: of IPv4, which was translated, and of IPv6.
  std::array<Sums, 2> Read() {
    std::array<Sums, 2> sums;
    const int fd = bpf_map__fd(checker_->maps.np_checksum_complete);
    for (uint32_t i = 0; i < 2; ++i) {
      uint64_t* const fields[] = {&sums[i].right, &sums[i].wrong,
                                  &sums[i].none};
      for (uint32_t j = 0; j < 3; ++j) {
        const uint32_t key = i * 3 + j;
        EXPECT_EQ(bpf_map_lookup_elem(fd, &key, fields[j]), 0);
      }
    }
    return sums;
  }

  // At least so many translated packets since the last time, all of them with a
  // right sum; or so many, all of them without one.
  void ExpectRight(uint64_t at_least) { Expect(at_least, 0); }
  void ExpectNone(uint64_t packets) { Expect(0, packets); }
  void Expect(uint64_t right, uint64_t none) {
    const Sums now = Read()[0];
    EXPECT_GE(now.right - seen_.right, right);
    EXPECT_EQ(now.none - seen_.none, none);
    EXPECT_EQ(now.wrong, 0u);
    seen_ = now;
  }

  // A UDP socket of the peer's that answers what it is asked, once.
  void Exchange(size_t size, ActorSocket server) {
    auto client = app_->UdpSocket(AF_INET);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(app_->Connect(*client, {kPeer4, kPort}), IsOk());
    ASSERT_THAT(app_->Send(*client, "?"), IsOkAndHolds(1u));
    auto asked = server_->Receive(server, kPatience);
    ASSERT_THAT(asked, IsOk());
    const std::string answer(size, 'a');
    ASSERT_THAT(server_->SendTo(server, *asked->from, answer),
                IsOkAndHolds(size));
    auto told = app_->Receive(*client, kPatience);
    ASSERT_THAT(told, IsOk());
    EXPECT_EQ(told->data, answer);
    ASSERT_THAT(app_->Close(*client), IsOk());
  }

  std::optional<NetNamespace> host_, peer_;
  std::optional<VethPair> cable_;
  std::unique_ptr<BpfFs> bpffs_;
  checksum_complete_bpf* checker_ = nullptr;
  IpAddress peer6_;
  std::optional<Actor> app_, server_;
  Sums seen_;
};

TEST_P(ChecksumCompleteTest, StaysTheSumOfWhatIsInThePacket) {
  {
    SCOPED_TRACE("TCP");
    auto listener = server_->TcpSocket(AF_INET6);
    ASSERT_THAT(listener, IsOk());
    ASSERT_THAT(server_->Bind(*listener, {peer6_, kPort}), IsOk());
    ASSERT_THAT(server_->Listen(*listener), IsOk());
    auto client = app_->TcpSocket(AF_INET);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(app_->Connect(*client, {kPeer4, kPort}, kPatience), IsOk());
    auto accepted = server_->Accept(*listener, kPatience);
    ASSERT_THAT(accepted, IsOk());
    constexpr uint64_t kBytes = 200'001;
    auto sent = server_->StartSendBytes(*accepted, kBytes);
    EXPECT_THAT(app_->ReceiveBytes(*client, kBytes), IsOkAndHolds(kBytes));
    EXPECT_THAT(sent.Wait(), IsOkAndHolds(kBytes));
    ExpectRight(100);
  }
  auto server = server_->UdpSocket(AF_INET6);
  ASSERT_THAT(server, IsOk());
  ASSERT_THAT(server_->Bind(*server, {peer6_, kPort}), IsOk());
  for (const size_t size : {1, 100, 101, 1200}) {
    SCOPED_TRACE(absl::StrCat("UDP of ", size, " bytes"));
    Exchange(size, *server);
    ExpectRight(1);
  }
  {
    SCOPED_TRACE("fragments");
    Exchange(3001, *server);
    ExpectRight(3);
  }
  {
    SCOPED_TRACE("extension headers");
    // Destination options (RFC 8200, 4.6): 16 bytes, all of it PadN.
    const std::string options("\0\1\1\14\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    ASSERT_THAT(
        server_->SetOptionBytes(*server, IPPROTO_IPV6, IPV6_DSTOPTS, options),
        IsOk());
    Exchange(100, *server);
    ExpectRight(1);
  }
  {
    SCOPED_TRACE("ping");
    auto ping = app_->RawSocket(AF_INET, IPPROTO_ICMP);
    ASSERT_THAT(ping, IsOk());
    // An echo request with its checksum.
    const std::string request("\x08\0\xf7\xfe\0\0\0\1", 8);
    ASSERT_THAT(app_->SendTo(*ping, {kPeer4, 0}, request),
                IsOkAndHolds(request.size()));
    auto reply = app_->Receive(*ping, kPatience);
    ASSERT_THAT(reply, IsOk());
    EXPECT_EQ(reply->data[20], 0);  // an echo reply
    ExpectRight(1);
  }
  for (const size_t size : {1, 1000}) {
    SCOPED_TRACE(absl::StrCat("an error about ", size, " bytes"));
    auto client = app_->UdpSocket(AF_INET);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT(app_->Connect(*client, {kPeer4, kClosedPort}), IsOk());
    ASSERT_THAT(app_->Send(*client, std::string(size, 'x')),
                IsOkAndHolds(size));
    EXPECT_THAT(app_->Receive(*client, kPatience), HasErrno(ECONNREFUSED));
    // Made anew, and nothing is claimed of its sum.
    ExpectNone(1);
  }
  // The way to such a sum works: what nobody translates has one, too.
  const Sums native = Read()[1];
  EXPECT_GT(native.right, 0u);
  EXPECT_EQ(native.wrong, 0u);
}

INSTANTIATE_TEST_SUITE_P(Addresses, ChecksumCompleteTest,
                         ::testing::Values(Pair{"Neutral", "2001:db8:64::/96"},
                                           Pair{"NotNeutral",
                                                "2001:db8:64::/64"}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace netpolicy::clat
