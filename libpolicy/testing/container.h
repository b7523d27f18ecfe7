// SPDX-License-Identifier: Apache-2.0
//
// A user namespace with a network namespace of its own, as containers have.

#ifndef NETPOLICY_LIBPOLICY_TESTING_CONTAINER_H_
#define NETPOLICY_LIBPOLICY_TESTING_CONTAINER_H_

#include <string>

#include "absl/status/statusor.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/net_namespace.h"

namespace netpolicy::testing {

// The uid_map or gid_map of a user namespace: lines "inside outside count".
struct IdMaps {
  std::string uid_map;
  std::string gid_map;
};

// A container's two namespaces: the network namespace is owned by the user
// namespace, as with an unprivileged `unshare -Un`.
//
//   // UID 10001 inside is 110001 outside.
//   auto box = Container::Create({"0 100000 65536", "0 100000 65536"});
//   auto app = Actor::Spawn({.uid = 10001, .netns = box->net.fd(),
//                            .userns = box->user.get()});
struct Container {
  static absl::StatusOr<Container> Create(const IdMaps& maps);

  UniqueFd user;
  NetNamespace net;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_CONTAINER_H_
