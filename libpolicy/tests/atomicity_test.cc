// A commit is seen whole or not at all: two policies that refuse a UID for
// different reasons are swapped under traffic, and every packet must be refused
// for the reason of one of them.

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "bpf_progs/abi/reason.h"
#include "bpf_progs/abi/stats.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

constexpr uid_t kAppUid = 10001;
constexpr uint16_t kPort = 4003;

// An emulated machine (tools/vm says which kernel it runs) has less to spare.
int Swaps() { return getenv("NETPOLICY_KERNEL") == nullptr ? 5000 : 300; }

// Sends datagrams to 10.77.0.x:kPort as fast as it can until it is killed.
absl::StatusOr<ChildProcess> StartSender(const ChildOptions& options,
                                         const char* to) {
  return ChildProcess::Start(options, [to] {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(kPort);
    inet_pton(AF_INET, to, &address.sin_addr);
    while (true) {
      (void)sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&address),
                   sizeof(address));
    }
    return 0;
  });
}

struct SwapCase {
  const char* name;
  Fence fence;
  int swaps;
};

class AtomicityTest : public ::testing::TestWithParam<SwapCase> {};

TEST_P(AtomicityTest, NoPacketLeaksWhilePoliciesAreSwapped) {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto created = Testbed::Create();
  ASSERT_THAT(created, IsOk());
  Testbed& bed = **created;
  auto app = bed.SpawnApp(kAppUid);
  ASSERT_THAT(app, IsOk());
  auto peer = bed.SpawnPeer();
  ASSERT_THAT(peer, IsOk());

  // Both refuse the UID; what they share is the UID's entry and the switches.
  const Transaction first = {SetChainEnabled{"standby", Switch::kOn},
                             SetChainEnabled{"dozable", Switch::kOff},
                             ReplaceChain{"standby", {Uid{kAppUid}}},
                             ReplaceChain{"dozable", {Uid{kAppUid}}}};
  const Transaction second = {SetChainEnabled{"standby", Switch::kOff},
                              SetChainEnabled{"dozable", Switch::kOn},
                              ReplaceChain{"standby", {}},
                              ReplaceChain{"dozable", {}}};
  ASSERT_THAT(bed.engine().Commit(first, {.fence = Fence::kWait}), IsOk());

  auto app_socket = app->UdpSocket(AF_INET);
  ASSERT_THAT(app_socket, IsOk());
  ASSERT_THAT(app->Bind(*app_socket, {"10.77.0.1", kPort}), IsOk());
  auto peer_socket = peer->UdpSocket(AF_INET);
  ASSERT_THAT(peer_socket, IsOk());
  ASSERT_THAT(peer->Bind(*peer_socket, {"10.77.0.2", kPort}), IsOk());
  auto out = StartSender({.uid = kAppUid,
                          .cgroup = bed.cgroup().path(),
                          .netns = bed.app_ns().fd()},
                         "10.77.0.2");
  ASSERT_THAT(out, IsOk());
  auto in = StartSender({.netns = bed.peer_ns().fd()}, "10.77.0.1");
  ASSERT_THAT(in, IsOk());

  for (int i = 0; i < GetParam().swaps; ++i) {
    ASSERT_THAT(bed.engine().Commit(i % 2 == 0 ? second : first,
                                    {.fence = GetParam().fence}),
                IsOk());
  }
  out->Kill();
  in->Kill();

  EXPECT_THAT(
      peer->Receive(*peer_socket, absl::Milliseconds(50)).status().code(),
      absl::StatusCode::kDeadlineExceeded)
      << "a packet of the application leaked";
  EXPECT_THAT(app->Receive(*app_socket, absl::Milliseconds(50)).status().code(),
              absl::StatusCode::kDeadlineExceeded)
      << "a packet to the application leaked";
  auto stats = bed.engine().Stats();
  ASSERT_THAT(stats, IsOk());
  // By Direction and policy. What is sent is refused to the call already.
  uint64_t refused[5][2] = {};
  for (const DropRow& row : stats->drops) {
    if (row.uid != Uid{kAppUid}) continue;
    const bool by_first =
        row.reasons == ReasonSet(NP_REASON_BIT(NP_REASON_STANDBY));
    const bool by_second =
        row.reasons == ReasonSet(NP_REASON_BIT(NP_REASON_DOZABLE));
    EXPECT_TRUE(by_first || by_second)
        << "a packet met a mixture of policies: reasons " << std::hex
        << row.reasons.bits();
    refused[static_cast<int>(row.direction)][by_second] += row.packets;
  }
  for (const int direction : {NP_INGRESS, NP_CONNECT}) {
    EXPECT_GT(refused[direction][0], 10) << direction;
    EXPECT_GT(refused[direction][1], 10) << direction;
  }
  for (const StatsRow& row : stats->rows) {
    EXPECT_NE(row.uid, Uid{kAppUid}) << "a packet of the application passed";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fences, AtomicityTest,
    ::testing::Values(SwapCase{"WithoutFence", Fence::kNone, Swaps()},
                      SwapCase{"WithFence", Fence::kWait, Swaps() / 20}),
    [](const ::testing::TestParamInfo<SwapCase>& info) {
      return std::string(info.param.name);
    });

}  // namespace
}  // namespace netpolicy::testing
