// SPDX-License-Identifier: Apache-2.0
//
// Opening and detaching, killed before every system call that makes or removes
// a pin or a link, or ends a link: whoever comes next finds something it can go
// on from.

#include <linux/bpf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "absl/functional/function_ref.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_fixture.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::SizeIs;
using testing::StatusIs;

#if defined(__x86_64__)

// Whether the system call that the stopped child is about to make changes what
// others can find.
bool IsStep(pid_t child) {
  user_regs_struct registers = {};
  if (ptrace(PTRACE_GETREGS, child, nullptr, &registers) != 0) return false;
  switch (registers.orig_rax) {
    case SYS_bpf:
      return registers.rdi == BPF_OBJ_PIN || registers.rdi == BPF_LINK_CREATE ||
             registers.rdi == BPF_LINK_UPDATE ||
             registers.rdi == BPF_LINK_DETACH;
    case SYS_mkdir:
    case SYS_mkdirat:
    case SYS_rmdir:
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
      return true;
    default:
      return false;
  }
}

enum class Outcome { kKilled, kFinished, kFailed };

// Runs `body` in a child and kills it before its n-th step, counting from 0.
// kFinished: it returned true before that.
Outcome KillAtStep(int n, absl::FunctionRef<bool()> body) {
  const pid_t child = fork();
  if (child < 0) return Outcome::kFailed;
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    _exit(body() ? 0 : 1);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
    return Outcome::kFailed;
  }
  ptrace(PTRACE_SETOPTIONS, child, nullptr,
         PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  bool entry = true;
  int signal = 0;
  for (;;) {
    ptrace(PTRACE_SYSCALL, child, nullptr, signal);
    signal = 0;
    if (waitpid(child, &status, 0) != child) return Outcome::kFailed;
    if (WIFEXITED(status)) {
      return WEXITSTATUS(status) == 0 ? Outcome::kFinished : Outcome::kFailed;
    }
    if (!WIFSTOPPED(status)) return Outcome::kFailed;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
      signal = WSTOPSIG(status);
      continue;
    }
    if (entry && IsStep(child) && n-- == 0) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return Outcome::kKilled;
    }
    entry = !entry;
  }
}

class KillTest : public EngineFixture {
 protected:
  void ExpectWhole(Engine& engine) {
    auto status = engine.Status();
    ASSERT_THAT(status, IsOk());
    ASSERT_THAT(status->programs, SizeIs(9));
    for (const ProgramStatus& program : status->programs) {
      EXPECT_NE(program.link_id, 0u) << program.name;
    }
    const std::string pins = Options().pin_dir;
    EXPECT_THAT(ListPins(pins + "/maps"), IsOkAndHolds(SizeIs(25)));
    EXPECT_THAT(ListPins(pins + "/programs"), IsOkAndHolds(SizeIs(9)));
    EXPECT_THAT(ListPins(pins + "/links"), IsOkAndHolds(SizeIs(9)));
  }
};

TEST_F(KillTest, AFirstOpenThatWasKilledIsMadeAnew) {
  int n = 0;
  for (Outcome outcome = Outcome::kKilled; outcome == Outcome::kKilled;
       n += StepsApart()) {
    SCOPED_TRACE(n);
    ASSERT_LT(n, 200);
    outcome = KillAtStep(n, [this] { return Engine::Open(Options()).ok(); });
    ASSERT_NE(outcome, Outcome::kFailed);
    auto engine = Open();
    ASSERT_NE(engine, nullptr);
    const OpenReport& report = engine->open_report();
    EXPECT_EQ(report.start, outcome == Outcome::kKilled
                                ? OpenReport::Start::kLoaded
                                : OpenReport::Start::kAdopted);
    ASSERT_NO_FATAL_FAILURE(ExpectWhole(*engine));
    EXPECT_EQ(PolicyOf(*engine).policy, Policy());
    EXPECT_EQ(PolicyOf(*engine).generation, Generation{1});
    ASSERT_THAT(Engine::Detach(Options().pin_dir), IsOk());
  }
  printf("%d steps\n", n - StepsApart());
}

TEST_F(KillTest, AnAdoptionThatWasKilledIsCompletedByTheNext) {
  const std::string pins = Options().pin_dir;
  int n = 0;
  for (Outcome outcome = Outcome::kKilled; outcome == Outcome::kKilled;
       n += StepsApart()) {
    SCOPED_TRACE(n);
    ASSERT_LT(n, 200);
    auto engine = Open();
    ASSERT_NE(engine, nullptr);
    ASSERT_THAT(engine->Commit({Deny(1), Deny(2)}, {}), IsOk());
    const Generation generation = PolicyOf(*engine).generation;
    // Something for it to do: a pin to put right, a link to make.
    ASSERT_THAT(Unpin(pins + "/programs/np_ingress"), IsOk());
    ASSERT_THAT(Unpin(pins + "/links/np_egress"), IsOk());
    engine.reset();

    outcome = KillAtStep(n, [this] { return Engine::Open(Options()).ok(); });
    ASSERT_NE(outcome, Outcome::kFailed);
    engine = Open();
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(engine->open_report().start, OpenReport::Start::kAdopted);
    ASSERT_NO_FATAL_FAILURE(ExpectWhole(*engine));
    EXPECT_EQ(PolicyOf(*engine).policy, Apply(Policy(), {Deny(1), Deny(2)}));
    EXPECT_EQ(PolicyOf(*engine).generation, generation);
    ASSERT_THAT(engine->Commit({Deny(3)}, {}), IsOk());
    ASSERT_THAT(engine->Commit({Clear(3)}, {}), IsOk());
  }
  printf("%d steps\n", n - StepsApart());
}

TEST_F(KillTest, ADetachThatWasKilledCanBeRepeatedOrMadeGood) {
  const std::string pins = Options().pin_dir;
  int n = 0;
  for (Outcome outcome = Outcome::kKilled; outcome == Outcome::kKilled;
       n += StepsApart()) {
    SCOPED_TRACE(n);
    ASSERT_LT(n, 200);
    auto engine = Open();
    ASSERT_NE(engine, nullptr);
    engine.reset();
    outcome = KillAtStep(n, [&pins] { return Engine::Detach(pins).ok(); });
    ASSERT_NE(outcome, Outcome::kFailed);
    if (n % 2 == 0) {
      ASSERT_THAT(Engine::Detach(pins), IsOk());
      EXPECT_THAT(ListPins(pins), StatusIs(absl::StatusCode::kNotFound));
    } else {
      engine = Open();
      ASSERT_NE(engine, nullptr);
      EXPECT_EQ(engine->open_report().start, OpenReport::Start::kLoaded);
      ASSERT_NO_FATAL_FAILURE(ExpectWhole(*engine));
    }
  }
  printf("%d steps\n", n - StepsApart());
}

#else
TEST(KillTest, NeedsX86) { GTEST_SKIP() << "reads x86-64 registers"; }
#endif

}  // namespace
}  // namespace netpolicy
