// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "netd/daemon/file.h"

namespace netpolicy {
namespace {

using State = DoctorFinding::State;

constexpr size_t kMaxProcFile = 64 << 10;

DoctorFinding Kernel() {
  DoctorFinding finding{
      .name = "kernel", .state = {}, .detail = {}, .cost = {}};
  utsname name = {};
  if (uname(&name) == 0) {
    finding.state = State::kPresent;
    finding.detail =
        absl::StrCat(name.sysname, " ", name.release, " ", name.machine);
  }
  return finding;
}

// A setting under /proc/sys whose values mean something.
class Sysctl {
 public:
  Sysctl(const std::string& root, absl::string_view name,
         absl::string_view file)
      : finding_{.name = std::string(name),
                 .state = State::kUnknown,
                 .detail = {},
                 .cost = {}},
        key_(file) {
    const absl::StatusOr<std::string> text =
        ReadFile(absl::StrCat(root, "/proc/sys/", file), kMaxProcFile);
    if (text.ok() &&
        absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &value_)) {
      known_ = true;
      finding_.detail = absl::StrCat(key_, " = ", value_);
    } else {
      finding_.detail = absl::StrCat(key_, " can't be read");
    }
  }

  bool known() const { return known_; }
  int64_t value() const { return value_; }

  DoctorFinding Is(State state, absl::string_view cost = "") && {
    finding_.state = known_ ? state : State::kUnknown;
    if (known_) finding_.cost = std::string(cost);
    return std::move(finding_);
  }

 private:
  DoctorFinding finding_;
  std::string key_;
  int64_t value_ = 0;
  bool known_ = false;
};

DoctorFinding FromFeature(const Feature& feature) {
  DoctorFinding finding{
      .name = feature.name, .state = State::kPresent, .detail = "", .cost = ""};
  switch (feature.support) {
    case Support::kNative:
      finding.detail = feature.detail;
      return finding;
    case Support::kFallback:
      finding.state = State::kFallback;
      break;
    case Support::kAbsent:
      finding.state = State::kMissing;
      break;
    case Support::kUnknown:
      finding.state = State::kUnknown;
      finding.detail = feature.detail;
      return finding;
  }
  finding.cost = feature.detail;
  return finding;
}

DoctorFinding UnprivilegedBpf(const std::string& root) {
  Sysctl setting(root, "unprivileged_bpf_off",
                 "kernel/unprivileged_bpf_disabled");
  if (setting.value() != 0) return std::move(setting).Is(State::kPresent);
  return std::move(setting).Is(
      State::kMissing,
      "any user may load some kinds of BPF programs; netd doesn't need that");
}

DoctorFinding SocketMemory(const std::string& root) {
  // Linux's default until 6.7; netd's storage of one socket takes a few hundred
  // bytes of it.
  constexpr int64_t kEnough = 20480;
  Sysctl limit(root, "socket_memory", "net/core/optmem_max");
  if (limit.value() >= kEnough) return std::move(limit).Is(State::kPresent);
  return std::move(limit).Is(State::kMissing,
                             "sockets that use up their option memory are "
                             "judged the slow way");
}

DoctorFinding Scope(const EngineStatus& status, const std::string& root) {
  DoctorFinding finding{.name = "whole_machine",
                        .state = State::kUnknown,
                        .detail = status.cgroup,
                        .cost = ""};
  // The root of a cgroup2 mount has no cgroup.type.
  const absl::StatusOr<std::string> type =
      ReadFile(absl::StrCat(root, status.cgroup, "/cgroup.type"), kMaxProcFile);
  if (absl::IsNotFound(type.status())) {
    finding.state = State::kPresent;
  } else if (type.ok()) {
    finding.state = State::kMissing;
    finding.cost =
        "sockets of processes outside this cgroup are neither judged nor "
        "counted";
  }
  return finding;
}

DoctorFinding Programs(const EngineStatus& status) {
  DoctorFinding finding{.name = "programs_attached",
                        .state = State::kPresent,
                        .detail = "",
                        .cost = ""};
  for (const ProgramStatus& program : status.programs) {
    absl::StrAppend(&finding.detail, finding.detail.empty() ? "" : ", ",
                    program.name);
    if (program.link_id != 0) continue;
    absl::StrAppend(&finding.detail, " (detached)");
    finding.state = State::kMissing;
    finding.cost =
        "what it judges passes: the cgroup it was attached to is "
        "gone";
  }
  return finding;
}

// Names are matched when an interface comes, so that this is none but for a
// misspelt name.
DoctorFinding Interfaces(const EngineStatus& status) {
  DoctorFinding finding{.name = "policy_interfaces",
                        .state = State::kPresent,
                        .detail = "",
                        .cost = ""};
  if (status.absent_interfaces.empty()) {
    finding.detail = "every interface that the policy names is there";
    return finding;
  }
  finding.state = State::kMissing;
  finding.detail = absl::StrCat("not there now: ",
                                absl::StrJoin(status.absent_interfaces, ", "));
  finding.cost =
      "rules about these mean nothing until interfaces of such names come";
  return finding;
}

}  // namespace

DoctorReport ExamineMachine(const std::vector<Feature>& features,
                            const EngineStatus* status,
                            const std::string& root) {
  DoctorReport report = {Kernel()};
  for (const Feature& feature : features) {
    report.push_back(FromFeature(feature));
  }
  if (status != nullptr) {
    report.push_back(Programs(*status));
    report.push_back(Scope(*status, root));
    report.push_back(Interfaces(*status));
  }
  report.push_back(SocketMemory(root));
  report.push_back(UnprivilegedBpf(root));
  return report;
}

}  // namespace netpolicy
