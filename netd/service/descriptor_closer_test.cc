// SPDX-License-Identifier: Apache-2.0

#include "netd/service/descriptor_closer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"

namespace netpolicy {
namespace {

constexpr int kPatienceMs = 10000;

struct Pipe {
  Pipe() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    reader.reset(fds[0]);
    writer.reset(fds[1]);
  }
  // Whether nobody has the writing end any more.
  bool IsClosed() const {
    pollfd poll_fd = {.fd = reader.get(), .events = 0, .revents = 0};
    return poll(&poll_fd, 1, kPatienceMs) == 1 &&
           (poll_fd.revents & POLLHUP) != 0;
  }

  UniqueFd reader;
  UniqueFd writer;
};

// A connection whose close(2) waits for an hour, and its other end.
struct Lingering {
  Lingering() {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener.get(), any, size), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    EXPECT_EQ(getsockname(listener.get(), any, &size), 0);
    mine.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(mine.get(), any, size), 0);
    other.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::string data(64 << 10, 'x');
    while (send(mine.get(), data.data(), data.size(), MSG_DONTWAIT) > 0) {
    }
    const linger hour = {.l_onoff = 1, .l_linger = 3600};
    EXPECT_EQ(
        setsockopt(mine.get(), SOL_SOCKET, SO_LINGER, &hour, sizeof(hour)), 0);
  }

  UniqueFd mine;
  UniqueFd other;
};

TEST(DescriptorCloser, ClosesEverything) {
  DescriptorCloser closer;
  for (int i = 0; i < 100; ++i) {
    Pipe pipe;
    closer.Close(std::move(pipe.writer));
    EXPECT_TRUE(pipe.IsClosed()) << i;
  }
  closer.Close(UniqueFd());
}

TEST(DescriptorCloser, ClosesAlsoWhenItIsGone) {
  std::vector<Pipe> pipes(100);
  {
    DescriptorCloser closer;
    for (Pipe& pipe : pipes) closer.Close(std::move(pipe.writer));
  }
  for (const Pipe& pipe : pipes) EXPECT_TRUE(pipe.IsClosed());
}

TEST(DescriptorCloser, WhatTakesAnHourHoldsNothingUp) {
  DescriptorCloser closer;
  std::vector<Lingering> connections(8);
  for (Lingering& connection : connections) {
    closer.Close(std::move(connection.mine));
  }
  Pipe pipe;
  closer.Close(std::move(pipe.writer));
  EXPECT_TRUE(pipe.IsClosed());
  // So that no thread outlives the test: a reset ends the waiting.
  const linger now = {.l_onoff = 1, .l_linger = 0};
  for (Lingering& connection : connections) {
    setsockopt(connection.other.get(), SOL_SOCKET, SO_LINGER, &now,
               sizeof(now));
    connection.other.reset();
  }
}

}  // namespace
}  // namespace netpolicy
