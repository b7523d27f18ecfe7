// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_SERVICE_RECEIVE_H_
#define NETPOLICY_NETD_SERVICE_RECEIVE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "libpolicy/base/unique_fd.h"

namespace netpolicy {

// What one recvmsg(2) gave.
struct Received {
  enum class What {
    kBytes,
    kNothing,  // for now
    kEnd,      // the other end has finished
    kError,    // the connection is broken
  } what = What::kError;
  std::vector<UniqueFd> descriptors;
  // There were more, for which there was no room among this process's
  // descriptors; the kernel has let go of them.
  bool lost_descriptors = false;
};

// Appends at most `size` bytes, which is above 0, of a unix stream socket to
// `bytes`, with the descriptors that came with them. Never waits.
//
// Descriptors come with the first of the bytes that they were sent with, and
// one call never goes beyond those (net/unix/af_unix.c,
// unix_stream_read_generic()). So who asks for no byte beyond a message knows
// that the descriptors are this message's.
Received Receive(int fd, size_t size, std::string& bytes);

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_RECEIVE_H_
