// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_FAKE_NAMES_H_
#define NETPOLICY_NETD_CLI_FAKE_NAMES_H_

#include <map>
#include <string>

#include "netd/cli/names.h"

namespace netpolicy::cli {

// A small machine whose names don't change.
class FakeNames : public Names {
 public:
  absl::optional<Uid> UidOfUser(absl::string_view name) override {
    for (const auto& [uid, user] : users_) {
      if (user == name) return uid;
    }
    return absl::nullopt;
  }
  absl::optional<std::string> UserOfUid(Uid uid) override {
    const auto it = users_.find(uid);
    if (it == users_.end()) return absl::nullopt;
    return it->second;
  }
  absl::optional<std::string> InterfaceName(IfIndex ifindex) override {
    if (ifindex == IfIndex{1}) return "lo";
    if (ifindex == IfIndex{2}) return "eth0";
    return absl::nullopt;
  }

 private:
  const std::map<Uid, std::string> users_ = {{Uid{0}, "root"},
                                             {Uid{33}, "www-data"},
                                             {Uid{10001}, "alice"},
                                             {Uid{10002}, "bob"}};
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_FAKE_NAMES_H_
