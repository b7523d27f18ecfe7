// SPDX-License-Identifier: Apache-2.0
//
// Runs a BPF program once (or a million times) on a packet, without traffic.
//
//   auto runner = ProgramRunner::ForFd(bpf_program__fd(program));
//   ASSERT_THAT(runner, IsOk());
//   auto run = runner->Run(PacketBuilder().Ip6({}).Udp({}).Build());
//   ASSERT_THAT(run, IsOk());
//   EXPECT_EQ(run->retval, 1u);
//
//   __sk_buff context = {};
//   context.mark = 7;
//   run = runner->Run(packet, {.context = context});
//   EXPECT_EQ(run->context.mark, 8u);
//
// This is BPF_PROG_TEST_RUN (bpf_prog_test_run_skb, bpf_prog_test_run_xdp).

#ifndef NETPOLICY_LIBPOLICY_TESTING_PROGRAM_RUNNER_H_
#define NETPOLICY_LIBPOLICY_TESTING_PROGRAM_RUNNER_H_

#include <cstdint>
#include <optional>
#include <string>

#include <linux/bpf.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace netpolicy::testing {

struct RunOptions {
  // For programs on an skb. The kernel takes mark, priority, ifindex, cb,
  // tstamp, wire_len, gso_segs, gso_size (and newer ones more); a value in any
  // other field is kInvalidArgument (EINVAL). An ifindex is one of the calling
  // thread's network namespace.
  std::optional<__sk_buff> context = std::nullopt;
  // Not 0. The packet isn't restored between runs.
  uint32_t repeat = 1;
};

struct RunResult {
  uint32_t retval = 0;
  // What the program made of the packet; begins with the same header as the
  // input.
  std::string packet;
  // As it was after the run; all zeros for other programs than those on an skb.
  __sk_buff context = {};
  // Mean of one run, with what the kernel measures around it.
  absl::Duration duration;
};

// Borrows a program, which must outlive it. Thread-safe as far as the program
// is. A value type.
class ProgramRunner {
 public:
  // Any type that the kernel can run on a packet: cgroup_skb, tc, lwt, xdp ...
  // Errors carry errno (errno_status.h), as all below.
  static absl::StatusOr<ProgramRunner> ForFd(int program_fd);

  // Runs it on a packet of up to about 3500 bytes (a page less the skb's own
  // data). cgroup_skb programs get a packet that begins with the IP header, as
  // they see it; its version decides on skb->protocol. All others get what
  // begins with the Ethernet header. The socket of a cgroup_skb program is a
  // dummy with a fixed UID, its interface lo unless the context says otherwise.
  absl::StatusOr<RunResult> Run(absl::string_view packet,
                                const RunOptions& options = {}) const;

 private:
  ProgramRunner(int program_fd, bpf_prog_type type)
      : program_fd_(program_fd), type_(type) {}

  int program_fd_;
  bpf_prog_type type_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_PROGRAM_RUNNER_H_
