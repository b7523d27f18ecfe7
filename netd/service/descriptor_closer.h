// SPDX-License-Identifier: Apache-2.0
//
// Closing descriptors that somebody else chose.

#ifndef NETPOLICY_NETD_SERVICE_DESCRIPTOR_CLOSER_H_
#define NETPOLICY_NETD_SERVICE_DESCRIPTOR_CLOSER_H_

#include <memory>

#include "libpolicy/base/unique_fd.h"

namespace netpolicy {

// close(2) of a descriptor that came from another process can wait for as long
// as that one likes: for the data of a TCP socket with SO_LINGER
// (net/ipv4/tcp.c, tcp_close()), or for the server of a FUSE file. The same
// holds for a unix socket in which such descriptors lie unread. So it is done
// by threads, at most 16, which are there when the first one is needed.
//
// Thread-safe. What was handed over is closed also when this is gone.
class DescriptorCloser {
 public:
  DescriptorCloser();
  ~DescriptorCloser();
  DescriptorCloser(const DescriptorCloser&) = delete;
  DescriptorCloser& operator=(const DescriptorCloser&) = delete;

  // Never waits, unless there can be no thread.
  void Close(UniqueFd fd);

 private:
  struct Shared;
  static void* Work(void* shared);

  const std::shared_ptr<Shared> shared_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_DESCRIPTOR_CLOSER_H_
