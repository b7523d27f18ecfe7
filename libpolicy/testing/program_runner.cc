// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/program_runner.h"

#include <cerrno>

#include <bpf/bpf.h>

#include "absl/strings/str_cat.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {
namespace {

constexpr size_t kEthernetBytes = 14;

// Programs that run behind the Ethernet header, which the kernel wants in the
// input (eth_type_trans takes skb->protocol from it) and puts zeros for in the
// output.
bool BeginsWithIp(bpf_prog_type type) {
  return type == BPF_PROG_TYPE_CGROUP_SKB || type == BPF_PROG_TYPE_LWT_IN ||
         type == BPF_PROG_TYPE_LWT_OUT || type == BPF_PROG_TYPE_LWT_XMIT;
}

bool HasSkbContext(bpf_prog_type type) {
  return BeginsWithIp(type) || type == BPF_PROG_TYPE_SCHED_CLS ||
         type == BPF_PROG_TYPE_SCHED_ACT || type == BPF_PROG_TYPE_SOCKET_FILTER;
}

std::string EthernetFor(absl::string_view packet) {
  const bool v6 = !packet.empty() && static_cast<uint8_t>(packet[0]) >> 4 == 6;
  std::string header(kEthernetBytes, '\0');
  header[12] = static_cast<char>(v6 ? 0x86 : 0x08);
  header[13] = static_cast<char>(v6 ? 0xdd : 0x00);
  return header;
}

}  // namespace

absl::StatusOr<ProgramRunner> ProgramRunner::ForFd(int program_fd) {
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) {
    return ErrnoStatus(errno, "read type of program");
  }
  return ProgramRunner(program_fd, static_cast<bpf_prog_type>(info.type));
}

absl::StatusOr<RunResult> ProgramRunner::Run(absl::string_view packet,
                                             const RunOptions& options) const {
  const bool hidden_header = BeginsWithIp(type_);
  const std::string input = hidden_header
                                ? absl::StrCat(EthernetFor(packet), packet)
                                : std::string(packet);
  RunResult result;
  // Programs may grow a packet; the kernel fails with ENOSPC if it doesn't fit.
  result.packet.resize(65536);
  __sk_buff context = options.context.value_or(__sk_buff{});

  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.data_in = input.data();
  run.data_size_in = static_cast<uint32_t>(input.size());
  run.data_out = result.packet.data();
  run.data_size_out = static_cast<uint32_t>(result.packet.size());
  run.repeat = static_cast<int>(options.repeat);
  if (HasSkbContext(type_)) {
    run.ctx_in = &context;
    run.ctx_size_in = sizeof(context);
    run.ctx_out = &result.context;
    run.ctx_size_out = sizeof(result.context);
  }
  if (bpf_prog_test_run_opts(program_fd_, &run) != 0) {
    return ErrnoStatus(
        errno, absl::StrCat("run program on ", packet.size(), " bytes"));
  }
  result.packet.resize(run.data_size_out);
  if (hidden_header) result.packet.erase(0, kEthernetBytes);
  result.retval = run.retval;
  result.duration = absl::Nanoseconds(run.duration);
  return result;
}

}  // namespace netpolicy::testing
