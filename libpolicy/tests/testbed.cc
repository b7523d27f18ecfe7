#include "libpolicy/tests/testbed.h"

#include <utility>

#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/document.h"

namespace netpolicy::testing {

absl::StatusOr<std::unique_ptr<Testbed>> Testbed::Create(
    const VethOptions& veth_options, const EngineOptions& engine_options) {
  NP_ASSIGN_OR_RETURN(BpfFs bpffs, BpfFs::Mount());
  NP_ASSIGN_OR_RETURN(TestCgroup cgroup, TestCgroup::Create());
  NP_ASSIGN_OR_RETURN(NetNamespace app_ns, NetNamespace::Create());
  NP_ASSIGN_OR_RETURN(NetNamespace peer_ns, NetNamespace::Create());
  NP_ASSIGN_OR_RETURN(VethPair veth,
                      VethPair::Create(app_ns, peer_ns, veth_options));
  for (const NetNamespace* ns : {&app_ns, &peer_ns}) {
    NP_RETURN_IF_ERROR(
        ns->WriteSysctl("net/ipv4/ping_group_range", "0 2147483647"));
  }
  auto bed = std::unique_ptr<Testbed>(
      new Testbed(std::move(bpffs), std::move(cgroup), std::move(app_ns),
                  std::move(peer_ns), std::move(veth)));
  bed->engine_options_ = engine_options;
  NP_RETURN_IF_ERROR(bed->Reopen());
  return bed;
}

absl::StatusOr<Actor> Testbed::SpawnApp(uid_t uid) const {
  return Actor::Spawn({.uid = uid,
                       .cgroup = cgroup_.path(),
                       .netns = app_ns_.fd(),
                       .privileges = Privileges::kAll});
}

absl::StatusOr<Actor> Testbed::SpawnPeer() const {
  return Actor::Spawn({.netns = peer_ns_.fd()});
}

absl::Status Testbed::Apply(absl::string_view policy_json) {
  NP_ASSIGN_OR_RETURN(const auto document,
                      ParsePolicyJson(policy_json, "test policy"));
  NP_ASSIGN_OR_RETURN(Policy policy, Validate(document));
  CommitOptions options;
  options.fence = Fence::kWait;
  return engine_->Commit({ReplacePolicy{std::move(policy)}}, options).status();
}

absl::Status Testbed::Reopen() {
  engine_.reset();
  EngineOptions options = engine_options_;
  options.cgroup = cgroup_.path();
  options.pin_dir = pin_dir();
  // Names of interfaces are meant where the applications are.
  NP_ASSIGN_OR_RETURN(const ScopedNetns inside, ScopedNetns::Enter(app_ns_));
  NP_ASSIGN_OR_RETURN(engine_, Engine::Open(options));
  return absl::OkStatus();
}

}  // namespace netpolicy::testing
