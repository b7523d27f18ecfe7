// SPDX-License-Identifier: Apache-2.0

// A daemon of its own with libpolicy inside, and no netd:
//
//   embed CGROUP PIN_DIRECTORY leave|detach UID...
//
// blocks the network for the UIDs, as far as they have processes below the
// cgroup; prints on SIGUSR1 what everybody has used; ends on SIGTERM or SIGINT.
// `leave` leaves the policy in force then, and the next start finds it and all
// counters; `detach` takes everything out of the kernel. Needs root.

#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "libpolicy/engine/engine.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "embed: %s\n", std::string(status.message()).c_str());
  return 1;
}

void PrintStats(const netpolicy::StatsSnapshot& stats) {
  for (const netpolicy::StatsRow& row : stats.rows) {
    std::printf("uid %u received %lu bytes and sent %lu\n", ToInt(row.uid),
                row.rx.bytes, row.tx.bytes);
  }
  for (const netpolicy::DropRow& drop : stats.drops) {
    std::printf("uid %u was refused %lu packets (%s)\n", ToInt(drop.uid),
                drop.packets, drop.reason_names.front().c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: embed CGROUP PIN_DIRECTORY leave|detach UID...\n",
               stderr);
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  netpolicy::EngineOptions options;
  options.cgroup = argv[1];
  options.pin_dir = argv[2];
  auto engine = netpolicy::Engine::Open(options);
  if (!engine.ok()) return Fail(engine.status());

  netpolicy::Transaction transaction;
  for (int i = 4; i < argc; ++i) {
    uint32_t uid = 0;
    if (!absl::SimpleAtoi(argv[i], &uid)) {
      return Fail(absl::InvalidArgumentError("a UID is a number"));
    }
    transaction.push_back(
        netpolicy::SetUidRule{netpolicy::Uid{uid}, netpolicy::Action::kDeny});
  }
  auto result =
      (*engine)->Commit(transaction, {.expected_generation = absl::nullopt,
                                      .fence = netpolicy::Fence::kWait,
                                      .mode = netpolicy::CommitMode::kApply});
  if (!result.ok()) return Fail(result.status());
  std::printf("generation %lu is in force\n", ToInt(result->generation));
  std::fflush(stdout);

  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGUSR1) {
    auto stats = (*engine)->Stats();
    if (!stats.ok()) return Fail(stats.status());
    PrintStats(*stats);
    std::fflush(stdout);
  }
  engine->reset();
  if (std::strcmp(argv[3], "detach") == 0) {
    absl::Status status = netpolicy::Engine::Detach(options.pin_dir);
    if (!status.ok()) return Fail(status);
  }
  return 0;
}
