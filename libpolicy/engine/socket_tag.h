// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_ENGINE_SOCKET_TAG_H_
#define NETPOLICY_LIBPOLICY_ENGINE_SOCKET_TAG_H_

#include "absl/status/status.h"
#include "bpf_progs/abi/socket.h"
#include "libpolicy/engine/charging.h"
#include "libpolicy/kernel/map.h"

namespace netpolicy {

// Engine::TagSocket(), in the storage of sockets. Of two calls at once
// for one socket either may be the last.
absl::Status WriteSocketTag(const Map<int, np_socket>& sockets, int socket,
                            const SocketTag& tag);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_SOCKET_TAG_H_
