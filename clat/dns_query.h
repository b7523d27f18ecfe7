// SPDX-License-Identifier: Apache-2.0
//
// Asks DNS for the NAT64 prefix of a network (RFC 7050).
//
//   NP_ASSIGN_OR_RETURN(auto query, DnsQuery::Start({.interface = "wwan0"}));
//   while (!query->done()) { poll(query->fd(), query->deadline()); ... }
//   query->Process();
//   query->TakeAnswer();

#ifndef NETPOLICY_CLAT_DNS_QUERY_H_
#define NETPOLICY_CLAT_DNS_QUERY_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clat/prefix.h"
#include "libpolicy/base/unique_fd.h"

struct ares_channeldata;

namespace netpolicy::clat {

struct DnsOptions {
  // Through this interface only; "": as routes have it.
  std::string interface = {};
  // Addresses of servers, perhaps with ports: "[fd00::53]:5300". None: those of
  // /etc/resolv.conf.
  std::vector<std::string> servers = {};
};

// What DNS says; no prefix: that there is no NAT64 by its account.
struct DnsAnswer {
  std::vector<Pref64> prefixes;
  absl::Duration ttl;
};

// One question and its answer, without blocking. Thread-compatible.
class DnsQuery {
 public:
  // Errors: kInvalidArgument for a server that is no address.
  static absl::StatusOr<std::unique_ptr<DnsQuery>> Start(
      const DnsOptions& options);

  DnsQuery(const DnsQuery&) = delete;
  DnsQuery& operator=(const DnsQuery&) = delete;
  ~DnsQuery();

  // Call Process() when this is readable; owned by this object.
  int fd() const { return epoll_.get(); }
  // Call Process() after so long, too.
  absl::Duration timeout() const;

  void Process();

  bool done() const { return answer_.has_value(); }
  // Once it is done. Errors: kUnavailable when no server answered, with the
  // cause.
  absl::StatusOr<DnsAnswer> TakeAnswer();

  // Asks and waits. Errors: as above; kDeadlineExceeded.
  static absl::StatusOr<DnsAnswer> Ask(const DnsOptions& options,
                                       absl::Duration limit);

 private:
  explicit DnsQuery(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  static void OnSocket(void* self, int fd, int readable, int writable);
  static void OnAnswer(void* self, int status, int timeouts,
                       unsigned char* bytes, int size);

  UniqueFd epoll_;
  ares_channeldata* channel_ = nullptr;
  std::optional<absl::StatusOr<DnsAnswer>> answer_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_DNS_QUERY_H_
