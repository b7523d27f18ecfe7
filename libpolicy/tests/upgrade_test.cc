// SPDX-License-Identifier: Apache-2.0
//
// Two versions take turns under load: the one in the tree, and the next one
// (libpolicy/engine/next_engine.cc), with another minor version of the ABI and
// other programs. Nothing is lost and nothing counted twice.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bpf_progs/abi/control.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

constexpr uid_t kUdpUid = 10001;
constexpr uid_t kTcpUid = 10002;
constexpr uid_t kBlockedUid = 10003;
constexpr uint16_t kPort = 5000;
constexpr int kCycles = 20;
constexpr uint32_t kTag = 7;

// What next_engine says.
struct Next {
  int exit_code = -1;
  int programs_replaced = -1;
  unsigned tables_minor = 0;
  int own_minor = -1;
};

enum class Maker { kThis, kNext };

// Datagrams from one socket, and a stream in both directions between two
// others, until it is stopped.
class Load {
 public:
  Load(UniqueFd udp, UniqueFd tcp, UniqueFd server)
      : udp_(std::move(udp)),
        tcp_(std::move(tcp)),
        server_(std::move(server)),
        out_([this] { Run(tcp_.get(), udp_.get()); }),
        in_([this] { Run(server_.get(), -1); }) {}
  ~Load() { Stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void Stop() {
    stop_ = true;
    if (out_.joinable()) out_.join();
    if (in_.joinable()) in_.join();
  }

 private:
  void Run(int stream, int datagrams) {
    std::array<char, 20000> buffer = {};
    while (!stop_) {
      if (datagrams >= 0) send(datagrams, buffer.data(), 200, 0);
      send(stream, buffer.data(), 8000, MSG_DONTWAIT | MSG_NOSIGNAL);
      recv(stream, buffer.data(), buffer.size(), MSG_DONTWAIT);
      absl::SleepFor(absl::Microseconds(500));
    }
  }

  std::atomic<bool> stop_ = false;
  UniqueFd udp_;
  UniqueFd tcp_;
  UniqueFd server_;
  std::thread out_;
  std::thread in_;
};

class UpgradeTest : public ::testing::TestWithParam<Maker> {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    if (GetParam() == Maker::kNext) {
      ASSERT_THAT(Engine::Detach(bed_->pin_dir()), IsOk());
      EXPECT_EQ(RunNext().exit_code, 0);
      ASSERT_THAT(bed_->Reopen(), IsOk());
    }
  }

  Next RunNext() {
    Next next;
    const std::string command =
        absl::StrCat("libpolicy/engine/next_engine '", bed_->cgroup().path(),
                     "' '", bed_->pin_dir(), "'");
    std::FILE* const output = popen(command.c_str(), "r");
    std::array<char, 1024> line = {};
    if (fgets(line.data(), line.size(), output) == nullptr ||
        std::sscanf(line.data(), "%d %u %d", &next.programs_replaced,
                    &next.tables_minor, &next.own_minor) != 3) {
      ADD_FAILURE() << "next_engine: " << line.data();
    }
    next.exit_code = WEXITSTATUS(pclose(output));
    return next;
  }

  Actor Spawn(uid_t uid) {
    auto actor = bed_->SpawnApp(uid);
    EXPECT_THAT(actor, IsOk());
    return *std::move(actor);
  }

  // In both directions; "counted" is by UID.
  struct Totals {
    PacketCount rx;
    PacketCount tx;
  };
  Totals CountedOf(uid_t uid, uint32_t tag) {
    Totals totals;
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return totals;
    EXPECT_EQ(stats->overflow_rx.packets + stats->overflow_tx.packets, 0u);
    for (const StatsRow& row : stats->rows) {
      if (row.uid != Uid{uid}) continue;
      EXPECT_EQ(row.tag, tag);
      totals.rx.packets += row.rx.packets;
      totals.rx.wire_bytes += row.rx.bytes;
      totals.tx.packets += row.tx.packets;
      totals.tx.wire_bytes += row.tx.bytes;
    }
    return totals;
  }
  Totals CapturedOf(const PacketCapture& capture, uint8_t protocol) {
    Totals totals;
    PacketFilter filter;
    filter.protocol = protocol;
    filter.direction = Direction::kIn;
    auto count = capture.Count(filter);
    EXPECT_THAT(count, IsOk());
    totals.tx = count.value_or(PacketCount{});
    filter.direction = Direction::kOut;
    count = capture.Count(filter);
    EXPECT_THAT(count, IsOk());
    totals.rx = count.value_or(PacketCount{});
    return totals;
  }
  static bool Same(const Totals& a, const Totals& b) {
    return a.rx.packets == b.rx.packets && a.tx.packets == b.tx.packets &&
           a.rx.wire_bytes == b.rx.wire_bytes &&
           a.tx.wire_bytes == b.tx.wire_bytes;
  }

  std::unique_ptr<Testbed> bed_;
};

TEST_P(UpgradeTest, TwentyCyclesUnderLoadLoseAndDoubleNothing) {
  ASSERT_THAT(bed_->Apply(absl::StrCat(R"({"version": 1, "uids": [{"uid": )",
                                       kBlockedUid, R"(, "rule": "deny"}]})")),
              IsOk());
  auto capture = PacketCapture::Start(bed_->peer_ns(), "eth0");
  ASSERT_THAT(capture, IsOk());
  auto peer = bed_->SpawnPeer();
  ASSERT_THAT(peer, IsOk());
  auto udp_peer = bed_->SpawnPeer();
  ASSERT_THAT(udp_peer, IsOk());
  auto nobody_reads = udp_peer->UdpSocket(AF_INET);
  ASSERT_THAT(nobody_reads, IsOk());
  ASSERT_THAT(udp_peer->Bind(*nobody_reads, {"10.77.0.2", kPort}), IsOk());

  Actor udp = Spawn(kUdpUid);
  Actor tcp = Spawn(kTcpUid);
  Actor blocked = Spawn(kBlockedUid);
  auto udp_socket = udp.UdpSocket(AF_INET);
  ASSERT_THAT(udp_socket, IsOk());
  ASSERT_THAT(udp.Connect(*udp_socket, {"10.77.0.2", kPort}), IsOk());
  {
    auto fd = udp.GetFd(*udp_socket);
    ASSERT_THAT(fd, IsOk());
    ASSERT_THAT(bed_->engine().TagSocket(fd->get(), {.tag = kTag}), IsOk());
  }
  auto listener = peer->TcpSocket(AF_INET6);
  ASSERT_THAT(listener, IsOk());
  ASSERT_THAT(peer->Bind(*listener, {"fd77::2", kPort}), IsOk());
  ASSERT_THAT(peer->Listen(*listener), IsOk());
  auto tcp_socket = tcp.TcpSocket(AF_INET6);
  ASSERT_THAT(tcp_socket, IsOk());
  ASSERT_THAT(tcp.Connect(*tcp_socket, {"fd77::2", kPort}), IsOk());
  auto server = peer->Accept(*listener);
  ASSERT_THAT(server, IsOk());
  auto blocked_socket = blocked.UdpSocket(AF_INET);
  ASSERT_THAT(blocked_socket, IsOk());

  // Slow enough for the capture to keep up with.
  auto udp_fd = udp.GetFd(*udp_socket);
  auto tcp_fd = tcp.GetFd(*tcp_socket);
  auto server_fd = peer->GetFd(*server);
  ASSERT_THAT(udp_fd, IsOk());
  ASSERT_THAT(tcp_fd, IsOk());
  ASSERT_THAT(server_fd, IsOk());
  Load load(*std::move(udp_fd), *std::move(tcp_fd), *std::move(server_fd));

  for (int i = 0; i < kCycles; ++i) {
    SCOPED_TRACE(absl::StrCat("cycle ", i));
    const Totals before = CountedOf(kUdpUid, kTag);
    const Next next = RunNext();
    EXPECT_EQ(next.exit_code, 0);
    EXPECT_GE(next.programs_replaced, 2);
    EXPECT_EQ(next.own_minor, NP_ABI_MINOR + 1);
    EXPECT_EQ(next.tables_minor, GetParam() == Maker::kNext
                                     ? NP_ABI_MINOR + 1u
                                     : uint32_t{NP_ABI_MINOR});
    // Judged by the next version's programs, and by this one's.
    EXPECT_FALSE(
        blocked.SendTo(*blocked_socket, {"10.77.0.2", kPort}, "x").ok());
    ASSERT_THAT(bed_->Reopen(), IsOk());
    EXPECT_EQ(bed_->engine().open_report().programs_replaced,
              next.programs_replaced);
    EXPECT_FALSE(
        blocked.SendTo(*blocked_socket, {"10.77.0.2", kPort}, "x").ok());
    EXPECT_GT(CountedOf(kUdpUid, kTag).tx.packets, before.tx.packets)
        << "there was no load";
  }

  load.Stop();
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  Totals udp_counted;
  Totals udp_captured;
  Totals tcp_counted;
  Totals tcp_captured;
  do {
    absl::SleepFor(absl::Milliseconds(100));
    udp_captured = CapturedOf(*capture, IPPROTO_UDP);
    tcp_captured = CapturedOf(*capture, IPPROTO_TCP);
    udp_counted = CountedOf(kUdpUid, kTag);
    tcp_counted = CountedOf(kTcpUid, 0);
  } while (
      (!Same(udp_counted, udp_captured) || !Same(tcp_counted, tcp_captured)) &&
      absl::Now() < deadline);
  EXPECT_EQ(udp_counted.tx.packets, udp_captured.tx.packets);
  EXPECT_EQ(udp_counted.tx.wire_bytes, udp_captured.tx.wire_bytes);
  EXPECT_EQ(udp_counted.rx.packets, udp_captured.rx.packets);
  EXPECT_EQ(tcp_counted.tx.packets, tcp_captured.tx.packets);
  EXPECT_EQ(tcp_counted.tx.wire_bytes, tcp_captured.tx.wire_bytes);
  EXPECT_EQ(tcp_counted.rx.packets, tcp_captured.rx.packets);
  EXPECT_EQ(tcp_counted.rx.wire_bytes, tcp_captured.rx.wire_bytes);
  auto stats = bed_->engine().Stats();
  ASSERT_THAT(stats, IsOk());
  ASSERT_THAT(stats->drops, ::testing::SizeIs(1));
  EXPECT_EQ(stats->drops[0].uid, Uid{kBlockedUid});
  EXPECT_EQ(stats->drops[0].packets, 2u * kCycles);
}

INSTANTIATE_TEST_SUITE_P(Tables, UpgradeTest,
                         ::testing::Values(Maker::kThis, Maker::kNext),
                         [](const ::testing::TestParamInfo<Maker>& info) {
                           return info.param == Maker::kThis ? "OfThis"
                                                             : "OfTheNext";
                         });

}  // namespace
}  // namespace netpolicy::testing
