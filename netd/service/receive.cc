// SPDX-License-Identifier: Apache-2.0

#include "netd/service/receive.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace netpolicy {
namespace {

// As many as the kernel lets one message have (SCM_MAX_FD): those for which
// there is no room here the kernel would close, and this thread would wait.
constexpr size_t kMaxDescriptors = 253;

void TakeDescriptors(msghdr& message, std::vector<UniqueFd>& descriptors) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
      descriptors.emplace_back(fd);
    }
  }
}

}  // namespace

Received Receive(int fd, size_t size, std::string& bytes) {
  const size_t before = bytes.size();
  bytes.resize(before + size);
  iovec vector = {.iov_base = bytes.data() + before, .iov_len = size};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const int error = errno;
  bytes.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));

  Received received;
  if (got >= 0) {
    TakeDescriptors(message, received.descriptors);
    received.lost_descriptors = (message.msg_flags & MSG_CTRUNC) != 0;
    received.what = got > 0 ? Received::What::kBytes : Received::What::kEnd;
  } else if (error == EAGAIN || error == EINTR) {
    received.what = Received::What::kNothing;
  }
  return received;
}

}  // namespace netpolicy
