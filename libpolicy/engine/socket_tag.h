// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_ENGINE_SOCKET_TAG_H_
#define NETPOLICY_LIBPOLICY_ENGINE_SOCKET_TAG_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf_progs/abi/socket.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/kernel/map.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {

// Engine::TagSocket(), in the storage of sockets. Of two calls at once
// for one socket either may be the last.
absl::Status WriteSocketTag(const Map<int, np_socket>& sockets, int socket,
                            const SocketTag& tag);

// Whom a socket without a tag is charged to. Errors: kInvalidArgument when it
// is no IPv4 or IPv6 socket.
absl::StatusOr<Uid> ReadSocketOwner(const Map<int, np_socket>& sockets,
                                    int socket);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_SOCKET_TAG_H_
