// SPDX-License-Identifier: Apache-2.0
//
// For tests of the real netd and ndc with real packets: a network namespace for
// netd and applications, whose eth0 leads to another one that no policy knows
// of (libpolicy/testing/veth_pair.h has the addresses).

#ifndef NETPOLICY_NETD_DAEMON_NETD_NETWORK_FIXTURE_H_
#define NETPOLICY_NETD_DAEMON_NETD_NETWORK_FIXTURE_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libpolicy/testing/actor.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/veth_pair.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy::testing {

class NetdNetworkFixture : public NetdFixture {
 protected:
  void SetUp() override;

  // Starts netd_ with `more` behind the fixture's arguments; fails the test
  // when it does not come up.
  void StartNetd(std::vector<std::string> more = {});

  // An application that the policy judges.
  absl::StatusOr<Actor> SpawnApp(uid_t uid) const;

  // How ndc ended, and what it wrote on standard output and error.
  struct Said {
    int code = -1;
    std::string text;
  };
  // Runs ndc with these words of a shell: in netd's network namespace, or in
  // `elsewhere`, where netd still answers for its own.
  Said RunNdc(const std::string& words,
              const NetNamespace* elsewhere = nullptr) const;

  std::optional<NetNamespace> ns_;
  std::optional<NetNamespace> peer_;
  std::optional<VethPair> veth_;
  std::unique_ptr<NetdProcess> netd_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_NETD_DAEMON_NETD_NETWORK_FIXTURE_H_
