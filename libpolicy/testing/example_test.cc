// SPDX-License-Identifier: Apache-2.0
//
// How the pieces of this library fit together: an app in a cgroup, a server, a
// cable, a BPF program that forbids the app to send, and the proof on the wire.

#include <cerrno>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/packet_capture.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::testing {
namespace {

// A cgroup_skb program that lets nothing pass.
UniqueFd LoadBlockAll() {
  const bpf_insn insns[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = 0},
      {.code = BPF_JMP | BPF_EXIT,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = 0},
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options,
              .expected_attach_type = BPF_CGROUP_INET_EGRESS);
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "block_all", "GPL",
                                insns, 2, &options));
}

TEST(Example, ABlockedAppGetsEpermAndNothingLeaves) {
  if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
  auto phone = NetNamespace::Create();
  auto internet = NetNamespace::Create();
  ASSERT_THAT(phone, IsOk());
  ASSERT_THAT(internet, IsOk());
  auto wlan = VethPair::Create(*phone, *internet, {.left_name = "wlan0"});
  ASSERT_THAT(wlan, IsOk());
  auto apps = TestCgroup::Create();
  ASSERT_THAT(apps, IsOk());
  auto app = Actor::Spawn(
      {.uid = 10001, .cgroup = apps->path(), .netns = phone->fd()});
  auto outsider = Actor::Spawn({.uid = 10002, .netns = phone->fd()});
  ASSERT_THAT(app, IsOk());
  ASSERT_THAT(outsider, IsOk());
  auto app_socket = app->UdpSocket(AF_INET6);
  auto outsider_socket = outsider->UdpSocket(AF_INET6);
  ASSERT_THAT(app_socket, IsOk());
  ASSERT_THAT(outsider_socket, IsOk());
  auto capture = PacketCapture::Start(*phone, "wlan0");
  ASSERT_THAT(capture, IsOk());
  const Endpoint server = {"fd77::2", 53};
  const PacketCount one = {
      .packets = 1, .wire_bytes = 49, .skbs = 1, .skb_bytes = 49};

  // The socket exists before the program does.
  EXPECT_THAT(app->SendTo(*app_socket, server, "x"), IsOkAndHolds(1));
  EXPECT_THAT(capture->Count({.dport = 53}), IsOkAndHolds(one));

  UniqueFd program = LoadBlockAll();
  ASSERT_TRUE(program.ok());
  UniqueFd link(bpf_link_create(program.get(), apps->fd(),
                                BPF_CGROUP_INET_EGRESS, nullptr));
  ASSERT_TRUE(link.ok());
  capture->Clear();
  EXPECT_THAT(app->SendTo(*app_socket, server, "x"), HasErrno(EPERM));
  EXPECT_THAT(capture->Count({.dport = 53}), IsOkAndHolds(PacketCount{}));
  EXPECT_THAT(outsider->SendTo(*outsider_socket, server, "x"), IsOkAndHolds(1));
  EXPECT_THAT(capture->Count({.dport = 53}), IsOkAndHolds(one));

  // No actor keeps the link: closing it here ends the block.
  link.reset();
  EXPECT_THAT(app->SendTo(*app_socket, server, "x"), IsOkAndHolds(1));
}

}  // namespace
}  // namespace netpolicy::testing
