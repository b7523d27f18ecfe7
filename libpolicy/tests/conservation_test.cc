// SPDX-License-Identifier: Apache-2.0
//
// Nothing is lost and nothing counted twice, whatever happens: over random
// traffic of several UIDs, the sum of all entries is what a capture at the
// other end of the wire saw, packet for packet and byte for byte, and what the
// counters of the interface say; with room for all entries, and with hardly
// any.
//
//   NETPOLICY_SEED=7 NETPOLICY_ROUNDS=2000 bazel test ...
//   --test_env=NETPOLICY_SEED
//     --test_env=NETPOLICY_ROUNDS --test_timeout=3600
//
// repeats a run that failed, or makes a longer one.

#include <netinet/in.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"
#include "libpolicy/traffic/interface_meter.h"

namespace netpolicy::testing {
namespace {

constexpr uint32_t kFirstUid = 10001;
constexpr uint32_t kUids = 5;
constexpr uint16_t kPeerPort = 5000;
constexpr uint16_t kFirstAppPort = 4000;
constexpr int kRounds = 12;
constexpr int kStepsPerRound = 25;

uint64_t NumberOf(const char* variable, uint64_t otherwise) {
  const char* const text = getenv(variable);
  return text == nullptr ? otherwise : strtoull(text, nullptr, 10);
}

struct Sums {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;

  friend bool operator==(const Sums&, const Sums&) = default;
  Sums operator-(const Sums& other) const {
    return {rx_packets - other.rx_packets, rx_bytes - other.rx_bytes,
            tx_packets - other.tx_packets, tx_bytes - other.tx_bytes};
  }
};

std::ostream& operator<<(std::ostream& out, const Sums& sums) {
  return out << "received " << sums.rx_packets << " packets, " << sums.rx_bytes
             << " bytes; sent " << sums.tx_packets << ", " << sums.tx_bytes;
}

void Add(const TrafficCounters& rx, const TrafficCounters& tx, Sums& sums) {
  sums.rx_packets += rx.packets;
  sums.rx_bytes += rx.bytes;
  sums.tx_packets += tx.packets;
  sums.tx_bytes += tx.bytes;
}

// One application and its sockets, by family.
struct App {
  explicit App(Actor actor_in) : actor(std::move(actor_in)) {}

  Actor actor;
  ActorSocket udp[2];
  ActorSocket tcp[2];       // connected to the peer, unless refused
  ActorSocket peer_tcp[2];  // the other ends
  uint16_t port = 0;
  bool denied = false;
};

struct Room {
  const char* name;
  uint32_t max_rows;
  uint32_t max_rows_per_uid;
  uint32_t max_uid_rows;
};

class ConservationTest : public ::testing::TestWithParam<Room> {
 protected:
  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    seed_ = NumberOf("NETPOLICY_SEED", std::random_device{}());
    random_.seed(seed_);
    // It is in the output of runs that go well, too.
    std::printf("NETPOLICY_SEED=%lu\n", seed_);
    EngineOptions options;
    options.max_rows = GetParam().max_rows;
    options.max_rows_per_uid = GetParam().max_rows_per_uid;
    options.max_uid_rows = GetParam().max_uid_rows;
    auto bed = Testbed::Create({}, options);
    ASSERT_THAT(bed, IsOk());
    bed_ = *std::move(bed);
    ASSERT_NO_FATAL_FAILURE(StartCounting());
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    peer_.emplace(*std::move(peer));
    for (const int v : {0, 1}) {
      peer_udp_[v] = Bound(*peer_, v, SOCK_DGRAM, kPeerPort);
      peer_listener_[v] = Bound(*peer_, v, SOCK_STREAM, kPeerPort);
      ASSERT_THAT(peer_->Listen(peer_listener_[v]), IsOk());
    }
    ASSERT_NO_FATAL_FAILURE(MakeCaptureUnderstand());
    for (uint32_t i = 0; i < kUids; ++i) {
      ASSERT_NO_FATAL_FAILURE(StartApp(i));
    }
  }

  void StartCounting() {
    meter_.emplace(InterfaceMeterOptions{
        .pin_dir = bed_->pin_dir() + "_interfaces", .access = {}});
    ASSERT_THAT(
        bed_->app_ns().Run([&] { return meter_->Watch("eth0").status(); }),
        IsOk());
    auto capture = PacketCapture::Start(bed_->peer_ns(), "eth0");
    ASSERT_THAT(capture, IsOk());
    capture_.emplace(*std::move(capture));
    // What the capture missed of what the meter saw, or the reverse, while one
    // of them had begun: of the machines' own talk.
    Sums before;
    do {
      before = Captured(Background::kIncluded);
      absl::SleepFor(absl::Milliseconds(20));
      begin_ = Metered() - before;
    } while (Captured(Background::kIncluded) != before);
  }

  // Where this kernel can't tell captures how UDP's super-packets are made up
  // (before 6.2), lets the sender's stack cut them.
  void MakeCaptureUnderstand() {
    // Nobody listens there.
    ASSERT_THAT(peer_->SendSegments(peer_udp_[0], AppAt(0, 9),
                                    std::string(1000, 'x'), 500),
                IsOk());
    PacketFilter filter;
    filter.direction = Direction::kOut;
    filter.dport = 9;
    if (!capture_->WaitFor(filter, 2).ok()) {
      for (const NetNamespace* ns : {&bed_->app_ns(), &bed_->peer_ns()}) {
        ASSERT_THAT(ns->SetFeature("eth0", "tx-udp-segmentation", Toggle::kOff),
                    IsOk());
      }
    }
    absl::SleepFor(absl::Milliseconds(50));
    ASSERT_NO_FATAL_FAILURE(StartCounting());
  }

  static int Family(int v) { return v == 0 ? AF_INET : AF_INET6; }
  static Endpoint PeerAt(int v, uint16_t port) {
    return {v == 0 ? "10.77.0.2" : "fd77::2", port};
  }
  static Endpoint AppAt(int v, uint16_t port) {
    return {v == 0 ? "10.77.0.1" : "fd77::1", port};
  }

  ActorSocket Bound(Actor& actor, int v, int type, uint16_t port) {
    auto socket = actor.Socket(Family(v), type);
    EXPECT_THAT(socket, IsOk());
    if (!socket.ok()) return {};
    if (v == 1) {
      EXPECT_THAT(actor.SetOption<int>(*socket, IPPROTO_IPV6, IPV6_V6ONLY, 1),
                  IsOk());
    }
    // Small: what comes when it is full is dropped, having been counted.
    EXPECT_THAT(actor.SetOption<int>(*socket, SOL_SOCKET, SO_RCVBUF, 1 << 18),
                IsOk());
    EXPECT_THAT(actor.Bind(*socket, {IpAddress::Any(Family(v)), port}), IsOk());
    return *socket;
  }

  void StartApp(uint32_t i) {
    auto actor = bed_->SpawnApp(kFirstUid + i);
    ASSERT_THAT(actor, IsOk());
    App& app = apps_.emplace_back(*std::move(actor));
    app.port = static_cast<uint16_t>(kFirstAppPort + i);
    for (const int v : {0, 1}) {
      app.udp[v] = Bound(app.actor, v, SOCK_DGRAM, app.port);
      ASSERT_NO_FATAL_FAILURE(Dial(app, v));
    }
  }

  void Dial(App& app, int v) {
    auto socket = app.actor.Socket(Family(v), SOCK_STREAM);
    ASSERT_THAT(socket, IsOk());
    app.tcp[v] = *socket;
    ASSERT_THAT(app.actor.Connect(*socket, PeerAt(v, kPeerPort)), IsOk());
    auto server = peer_->Accept(peer_listener_[v]);
    ASSERT_THAT(server, IsOk());
    app.peer_tcp[v] = *server;
  }

  // --- What can happen ---

  uint32_t Pick(uint32_t below) {
    return std::uniform_int_distribution<uint32_t>(0, below - 1)(random_);
  }
  App& AnyApp() { return apps_[Pick(kUids)]; }
  uint32_t AnyUid() { return kFirstUid + Pick(kUids); }

  // Datagrams of any length, so that some are fragmented. Those of a UID that
  // is refused are not: of a refused datagram the skb is counted.
  void Datagrams() {
    App& app = AnyApp();
    const int v = static_cast<int>(Pick(2));
    const size_t bytes = 1 + Pick(app.denied     ? 1400
                                  : Pick(2) == 0 ? 600
                                                 : 9000);
    const uint32_t count = 1 + Pick(10);
    const bool out = Pick(2) == 0;
    Note(absl::StrCat(out ? "out " : "in ", count, " datagrams of ", bytes,
                      " v", v));
    const std::string data(bytes, 'x');
    for (uint32_t i = 0; i < count; ++i) {
      if (out) {
        const auto sent =
            app.actor.SendTo(app.udp[v], PeerAt(v, kPeerPort), data);
        if (app.denied) {
          ASSERT_THAT(sent, HasErrno(EPERM));
        } else {
          ASSERT_THAT(sent, IsOkAndHolds(bytes));
        }
      } else {
        ASSERT_THAT(peer_->SendTo(peer_udp_[v], AppAt(v, app.port), data),
                    IsOkAndHolds(bytes));
      }
    }
  }

  // One call that makes many datagrams (UDP_SEGMENT).
  void SegmentedDatagrams() {
    App& app = AnyApp();
    if (app.denied) return;
    const int v = static_cast<int>(Pick(2));
    const int segment = static_cast<int>(200 + Pick(1200));
    // 64 segments are the most for a call (UDP_MAX_SEGMENTS).
    const size_t bytes = static_cast<size_t>(segment) +
                         Pick(static_cast<uint32_t>(segment) * 40);
    const bool out = Pick(2) == 0;
    Note(absl::StrCat(out ? "out " : "in ", bytes, " in segments of ", segment,
                      " v", v));
    const std::string data(bytes, 'x');
    if (out) {
      ASSERT_THAT(app.actor.SendSegments(app.udp[v], PeerAt(v, kPeerPort), data,
                                         segment),
                  IsOkAndHolds(bytes));
    } else {
      ASSERT_THAT(
          peer_->SendSegments(peer_udp_[v], AppAt(v, app.port), data, segment),
          IsOkAndHolds(bytes));
    }
  }

  void Stream() {
    App& app = AnyApp();
    if (app.denied) return;
    const int v = static_cast<int>(Pick(2));
    const uint64_t bytes = 1 + Pick(Pick(3) == 0 ? 2000000 : 20000);
    const bool out = Pick(2) == 0;
    Note(absl::StrCat(out ? "out " : "in ", bytes, " by TCP v", v));
    Actor& from = out ? app.actor : *peer_;
    Actor& to = out ? *peer_ : app.actor;
    const ActorSocket& mine = app.tcp[v];
    const ActorSocket& other = app.peer_tcp[v];
    auto receiving = to.StartReceiveBytes(out ? other : mine, bytes);
    ASSERT_THAT(from.SendBytes(out ? mine : other, bytes), IsOkAndHolds(bytes));
    ASSERT_THAT(receiving.Wait(), IsOkAndHolds(bytes));
  }

  // The peer closes first: what the kernel acknowledges for a socket that is
  // no more is nobody's traffic.
  void HangUpAndDialAgain() {
    App& app = AnyApp();
    if (app.denied) return;
    const int v = static_cast<int>(Pick(2));
    Note(absl::StrCat("dial again v", v));
    ASSERT_THAT(peer_->Shutdown(app.peer_tcp[v], SHUT_WR), IsOk());
    ASSERT_THAT(app.actor.Receive(app.tcp[v]), IsOk());
    ASSERT_THAT(app.actor.Close(app.tcp[v]), IsOk());
    ASSERT_THAT(peer_->Receive(app.peer_tcp[v]), IsOk());
    ASSERT_THAT(peer_->Close(app.peer_tcp[v]), IsOk());
    ASSERT_NO_FATAL_FAILURE(Dial(app, v));
  }

  void Tag() {
    App& app = AnyApp();
    const int v = static_cast<int>(Pick(2));
    SocketTag tag{.tag = Pick(6)};
    if (Pick(3) == 0) tag.charge = Uid{AnyUid()};
    Note(absl::StrCat("tag ", tag.tag));
    auto fd = app.actor.GetFd(Pick(2) == 0 ? app.udp[v] : app.tcp[v]);
    ASSERT_THAT(fd, IsOk());
    ASSERT_THAT(bed_->engine().TagSocket(fd->get(), tag), IsOk());
  }

  void ChangeCounterSet() {
    Note("counter set");
    ASSERT_THAT(bed_->engine().SetCounterSet(Uid{AnyUid()}, Pick(3)), IsOk());
  }

  // The last UID only, which has nothing under way when it is refused.
  void Deny() {
    App& app = apps_.back();
    Settle();
    app.denied = !app.denied;
    Note(app.denied ? "deny" : "allow");
    ASSERT_THAT(
        bed_->Apply(app.denied
                        ? absl::StrCat(R"({"version": 1, "uids": [{"uid": )",
                                       kFirstUid + kUids - 1,
                                       R"(, "rule": "deny"}]})")
                        : R"({"version": 1})"),
        IsOk());
  }

  void ChangeOffload() {
    const Offload kAll[] = {Offload::kTso, Offload::kGso, Offload::kGro};
    const Offload offload = kAll[Pick(std::size(kAll))];
    const Toggle toggle = Pick(2) == 0 ? Toggle::kOff : Toggle::kOn;
    const NetNamespace& ns = Pick(2) == 0 ? bed_->app_ns() : bed_->peer_ns();
    Note(absl::StrCat("offload ", static_cast<int>(offload), " ",
                      static_cast<int>(toggle)));
    // What is under way meets it, too.
    ASSERT_THAT(ns.SetOffload("eth0", offload, toggle), IsOk());
  }

  void Step() {
    switch (Pick(20)) {
      case 0:
        return HangUpAndDialAgain();
      case 1:
        return ChangeCounterSet();
      case 2:
        return Deny();
      case 3:
        return ChangeOffload();
      case 4:
      case 5:
      case 6:
        return Tag();
      case 7:
      case 8:
      case 9:
        return SegmentedDatagrams();
      case 10:
      case 11:
      case 12:
      case 13:
        return Stream();
      default:
        return Datagrams();
    }
  }

  // --- What is counted ---

  // What passed, and what was refused on its way in, by all entries.
  Sums Counted() {
    Sums sums;
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return sums;
    for (const StatsRow& row : stats->rows) Add(row.rx, row.tx, sums);
    Add(stats->overflow_rx, stats->overflow_tx, sums);
    for (const DropRow& drop : stats->drops) {
      if (drop.direction != netpolicy::Direction::kIngress) continue;
      sums.rx_packets += drop.packets;
      sums.rx_bytes += drop.bytes;
    }
    return sums;
  }

  Sums Captured(Background background) {
    Sums sums;
    PacketFilter filter;
    filter.background = background;
    filter.direction = Direction::kOut;
    auto count = capture_->Count(filter);
    EXPECT_THAT(count, IsOk());
    if (!count.ok()) return sums;
    sums.rx_packets = count->packets;
    sums.rx_bytes = count->wire_bytes;
    filter.direction = Direction::kIn;
    count = capture_->Count(filter);
    EXPECT_THAT(count, IsOk());
    if (!count.ok()) return sums;
    sums.tx_packets = count->packets;
    sums.tx_bytes = count->wire_bytes;
    return sums;
  }

  Sums Metered() {
    Sums sums;
    EXPECT_THAT(bed_->app_ns().Run([&] {
      auto traffic = meter_->Read();
      if (!traffic.ok()) return traffic.status();
      for (const InterfaceTraffic& each : *traffic) {
        Add(each.rx, each.tx, sums);
        EXPECT_EQ(each.unparsable, 0u);
      }
      return absl::OkStatus();
    }),
                IsOk());
    return sums;
  }

  // Waits until nothing is under way any more.
  void Settle() {
    Sums before;
    do {
      before = Captured(Background::kIncluded);
      absl::SleepFor(absl::Milliseconds(60));  // longer than a late ACK takes
    } while (Captured(Background::kIncluded) != before);
  }

  void ExpectAllTheSame() {
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    Sums counted;
    Sums captured;
    Sums all;
    Sums metered;
    do {
      Settle();
      captured = Captured(Background::kExcluded);
      counted = Counted();
      all = Captured(Background::kIncluded);
      metered = Metered() - begin_;
    } while ((counted != captured || metered != all) && absl::Now() < deadline);
    EXPECT_EQ(counted, captured);
    EXPECT_EQ(metered, all);
    if (HasFailure()) {
      ADD_FAILURE() << "NETPOLICY_SEED=" << seed_ << ", last steps:\n"
                    << absl::StrJoin(steps_, "\n");
    }
  }

  void Note(std::string step) { steps_.push_back(std::move(step)); }

  uint64_t seed_ = 0;
  std::mt19937_64 random_;
  std::vector<std::string> steps_;  // of this round
  std::unique_ptr<Testbed> bed_;
  std::optional<InterfaceMeter> meter_;
  std::optional<PacketCapture> capture_;
  Sums begin_;
  std::optional<Actor> peer_;
  ActorSocket peer_udp_[2];
  ActorSocket peer_listener_[2];
  std::vector<App> apps_;
};

TEST_P(ConservationTest, TheSumIsWhatTheWireSaw) {
  const uint64_t rounds = NumberOf("NETPOLICY_ROUNDS", kRounds);
  for (uint64_t round = 0; round < rounds; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    steps_.clear();
    for (int i = 0; i < kStepsPerRound; ++i) {
      Step();
      if (HasFatalFailure()) break;
    }
    ExpectAllTheSame();
    if (HasFailure()) return;
  }
  EXPECT_GT(Counted().tx_packets, 100 * rounds);

  // The case is what it is called.
  auto stats = bed_->engine().Stats();
  ASSERT_THAT(stats, IsOk());
  uint64_t without_row = 0;
  for (const LossCounter& loss : stats->losses) {
    if (loss.name.starts_with("rows_")) without_row += loss.count;
    if (loss.name == "unparsable") {
      EXPECT_EQ(loss.count, 0u);
    }
  }
  EXPECT_EQ(without_row > 0, GetParam().max_rows < 100) << without_row;
}

INSTANTIATE_TEST_SUITE_P(Tables, ConservationTest,
                         ::testing::Values(Room{"WithRoom", 4096, 4096, 64},
                                           Room{"Full", 8, 2, 2}),
                         [](const ::testing::TestParamInfo<Room>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace netpolicy::testing
