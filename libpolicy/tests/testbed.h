#ifndef NETPOLICY_LIBPOLICY_TESTS_TESTBED_H_
#define NETPOLICY_LIBPOLICY_TESTS_TESTBED_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/test_environment.h"
#include "libpolicy/testing/veth_pair.h"

namespace netpolicy::testing {

// A machine to try policies on: a cgroup with the programs attached, a
// namespace whose processes can be put into it, and a peer at the other end of
// a veth pair that no policy knows of.
//
//   app namespace  eth0 10.77.0.1, fd77::1  ---  eth0 10.77.0.2, fd77::2  peer
//
// Everything is taken down when it goes out of scope.
class Testbed {
 public:
  // `engine`: its sizes; where it is attached and pinned is the testbed's own.
  static absl::StatusOr<std::unique_ptr<Testbed>> Create(
      const VethOptions& veth = {}, const EngineOptions& engine = {});

  // An application: in the cgroup and the app namespace, with all capabilities,
  // so that only the policy can refuse it anything.
  absl::StatusOr<Actor> SpawnApp(uid_t uid) const;

  // Root at the other end, in no cgroup of ours.
  absl::StatusOr<Actor> SpawnPeer() const;

  // Commits the policy document and waits for the fence.
  absl::Status Apply(absl::string_view policy_json);

  // Lets go of the engine, as a daemon that ends, and opens another one.
  absl::Status Reopen();

  Engine& engine() { return *engine_; }
  const NetNamespace& app_ns() const { return app_ns_; }
  const NetNamespace& peer_ns() const { return peer_ns_; }
  const VethPair& veth() const { return veth_; }
  const TestCgroup& cgroup() const { return cgroup_; }
  std::string pin_dir() const { return bpffs_.File("netpolicy"); }

 private:
  Testbed(BpfFs bpffs, TestCgroup cgroup, NetNamespace app_ns,
          NetNamespace peer_ns, VethPair veth)
      : bpffs_(std::move(bpffs)),
        cgroup_(std::move(cgroup)),
        app_ns_(std::move(app_ns)),
        peer_ns_(std::move(peer_ns)),
        veth_(std::move(veth)) {}

  BpfFs bpffs_;
  TestCgroup cgroup_;
  NetNamespace app_ns_;
  NetNamespace peer_ns_;
  VethPair veth_;
  EngineOptions engine_options_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTS_TESTBED_H_
