// SPDX-License-Identifier: Apache-2.0
//
// For tests of the client: a server, and a client that is connected to it.

#ifndef NETPOLICY_NETD_SERVICE_TESTING_CLIENT_FIXTURE_H_
#define NETPOLICY_NETD_SERVICE_TESTING_CLIENT_FIXTURE_H_

#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/service/client.h"
#include "netd/service/testing/test_server.h"

namespace netpolicy::testing {

class ClientFixture : public ::testing::Test {
 protected:
  // `options`, but for the rules: the client may do everything.
  explicit ClientFixture(TestServer::Options options = {})
      : server_(AsOwner(std::move(options))) {
    absl::StatusOr<std::unique_ptr<Client>> client =
        Client::Connect(server_.path(), absl::Seconds(10));
    EXPECT_THAT(client, IsOk());
    if (client.ok()) client_ = *std::move(client);
  }

  static TestServer::Options AsOwner(TestServer::Options options = {}) {
    options.rules.own_uid = geteuid();
    return options;
  }

  TestServer server_;
  std::unique_ptr<Client> client_;
};

}  // namespace netpolicy::testing

#endif  // NETPOLICY_NETD_SERVICE_TESTING_CLIENT_FIXTURE_H_
