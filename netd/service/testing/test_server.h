// SPDX-License-Identifier: Apache-2.0
//
// A Server over a FakePolicy, in a thread, on a socket in a directory of its
// own; and the other end of its socket without the Client's good manners.

#ifndef NETPOLICY_NETD_SERVICE_TESTING_TEST_SERVER_H_
#define NETPOLICY_NETD_SERVICE_TESTING_TEST_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/scratch_dir.h"
#include "netd/service/handler.h"
#include "netd/service/server.h"
#include "netd/service/service.pb.h"
#include "netd/service/testing/fake_charging.h"
#include "netd/service/testing/fake_policy.h"

struct event_base;

namespace netpolicy::testing {

// Remembers what it is told. Thread-safe.
class RecordingObserver final : public ServerObserver {
 public:
  void OnCall(const Peer& peer, const CallRecord& record) override;
  void OnDropped(const Peer& peer, const absl::Status& why) override;
  void OnAcceptError(const absl::Status& why) override;

  std::vector<CallRecord> calls() const;
  std::vector<absl::Status> dropped() const;

 private:
  mutable std::mutex mutex_;
  std::vector<CallRecord> calls_;
  std::vector<absl::Status> dropped_;
};

class TestServer {
 public:
  struct Options {
    ServerLimits limits;
    AccessRules rules;
    RequestHandler::Doctor doctor;
    mode_t mode = 0666;
  };

  TestServer() : TestServer(Options()) {}
  explicit TestServer(Options options);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  const std::string& path() const { return path_; }
  RecordingObserver& observer() { return observer_; }

  // To be touched before the first call or after Stop().
  FakePolicy& policy() { return policy_; }
  FakeCharging& charging() { return charging_; }

  // Ends the loop, closing all connections at once; Start() serves again.
  void Stop();
  void Start();

  // Drains the server and waits for the loop to end.
  void Drain();

 private:
  void Tell(char what);
  void OnTold();
  void Join();

  const Options options_;
  const ScratchDir dir_;
  const std::string path_;
  FakePolicy policy_;
  FakeCharging charging_;
  RecordingObserver observer_;
  event_base* base_ = nullptr;
  UniqueFd tell_;
  UniqueFd told_;
  std::unique_ptr<RequestHandler> handler_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

// One connection, byte by byte. Failures are test failures.
class RawClient {
 public:
  explicit RawClient(const std::string& path);

  // Sends as much as is taken without waiting longer than some seconds; false
  // when the other end closed before the end.
  bool Send(absl::string_view bytes);
  bool SendFrame(absl::string_view message);
  // In one sendmsg(2), with descriptors.
  bool SendWith(absl::string_view bytes, const std::vector<int>& descriptors);
  void FinishSending();  // shutdown(SHUT_WR)

  // The next response; kUnavailable when the connection ended first,
  // kDeadlineExceeded after some seconds.
  absl::StatusOr<service::Response> Receive();

  // True when the other end closes within `patience` (what it sends until then
  // is thrown away).
  bool IsClosed(absl::Duration patience);

  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

// The encoded request of a call without fields.
std::string StatusRequestBytes();

}  // namespace netpolicy::testing

#endif  // NETPOLICY_NETD_SERVICE_TESTING_TEST_SERVER_H_
