// SPDX-License-Identifier: Apache-2.0

#include "clat/dns_query.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "clat/pref64_option.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy::clat {
namespace {

constexpr char kName[] = "ipv4only.arpa";
constexpr int kTimeoutMs = 2000;  // of the first try; each next waits longer
constexpr int kTries = 3;
// More addresses than a server with two prefixes for each of the two answers.
constexpr int kMaxAddresses = 32;

const std::string& Operation() {
  static const std::string& operation =
      *new std::string(absl::StrCat("ask DNS for ", kName));
  return operation;
}

// How long "there is none" holds, where the answer does not say: as long as
// RFC 2308, 5, recommends at most.
constexpr absl::Duration kNegativeTtl = absl::Hours(1);

absl::StatusOr<DnsAnswer> ReadAnswer(int status, const unsigned char* bytes,
                                     int size) {
  // The name has no address of this kind: no DNS64. RFC 7050 has no difference
  // between these.
  if (status == ARES_ENODATA || status == ARES_ENOTFOUND) {
    return DnsAnswer{{}, kNegativeTtl};
  }
  if (status != ARES_SUCCESS) {
    return absl::UnavailableError(
        absl::StrCat(Operation(), ": ", ares_strerror(status)));
  }
  std::array<ares_addr6ttl, kMaxAddresses> found;
  int count = kMaxAddresses;
  const int parsed =
      ares_parse_aaaa_reply(bytes, size, nullptr, found.data(), &count);
  if (parsed == ARES_ENODATA) return DnsAnswer{{}, kNegativeTtl};
  if (parsed != ARES_SUCCESS) {
    return absl::UnavailableError(
        absl::StrCat(Operation(), ": ", ares_strerror(parsed)));
  }
  std::vector<Ipv6Address> addresses(static_cast<size_t>(count));
  int ttl = 0x7fffffff;
  for (int i = 0; i < count; ++i) {
    std::memcpy(addresses[i].bytes.data(), &found[i].ip6addr, 16);
    ttl = std::min(ttl, found[i].ttl);
  }
  return DnsAnswer{FindPref64s(addresses), absl::Seconds(std::max(ttl, 0))};
}

}  // namespace

absl::StatusOr<std::unique_ptr<DnsQuery>> DnsQuery::Start(
    const DnsOptions& options) {
  // Counts its users; never taken down, as there is nothing to gain.
  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  if (library != ARES_SUCCESS) {
    return absl::InternalError(
        absl::StrCat("start c-ares: ", ares_strerror(library)));
  }
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.ok()) return StatusFromErrno(errno, Operation());
  auto query = std::unique_ptr<DnsQuery>(new DnsQuery(std::move(epoll)));

  ares_options settings{};
  settings.timeout = kTimeoutMs;
  settings.tries = kTries;
  settings.sock_state_cb = &DnsQuery::OnSocket;
  settings.sock_state_cb_data = query.get();
  // Not what /etc/hosts says: the name is looked up with DNS64 in mind.
  char lookups[] = "b";
  settings.lookups = lookups;
  const int status =
      ares_init_options(&query->channel_, &settings,
                        ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                            ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS);
  if (status != ARES_SUCCESS) {
    return absl::UnavailableError(
        absl::StrCat(Operation(), ": ", ares_strerror(status)));
  }
  if (!options.servers.empty()) {
    const std::string servers = absl::StrJoin(options.servers, ",");
    if (ares_set_servers_ports_csv(query->channel_, servers.c_str()) !=
        ARES_SUCCESS) {
      return absl::InvalidArgumentError(absl::StrCat(
          Operation(), ": not the addresses of servers: ", servers));
    }
  }
  if (!options.interface.empty()) {
    ares_set_local_dev(query->channel_, options.interface.c_str());
  }
  ares_query(query->channel_, kName, ns_c_in, ns_t_aaaa, &DnsQuery::OnAnswer,
             query.get());
  return query;
}

DnsQuery::~DnsQuery() {
  if (channel_ != nullptr) ares_destroy(channel_);
}

void DnsQuery::OnSocket(void* self, int fd, int readable, int writable) {
  const int epoll = static_cast<DnsQuery*>(self)->epoll_.get();
  epoll_event event{};
  event.events =
      (readable != 0 ? EPOLLIN : 0U) | (writable != 0 ? EPOLLOUT : 0U);
  event.data.fd = fd;
  if (event.events == 0) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
  } else if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) {
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

void DnsQuery::OnAnswer(void* self, int status, int /*timeouts*/,
                        unsigned char* bytes, int size) {
  // The channel is going: nobody asks any more.
  if (status == ARES_EDESTRUCTION) return;
  static_cast<DnsQuery*>(self)->answer_ = ReadAnswer(status, bytes, size);
}

absl::Duration DnsQuery::timeout() const {
  timeval none = {.tv_sec = 3600, .tv_usec = 0};
  timeval wait{};
  return absl::DurationFromTimeval(*ares_timeout(channel_, &none, &wait));
}

void DnsQuery::Process() {
  std::array<epoll_event, 8> events;
  const int count = epoll_wait(epoll_.get(), events.data(),
                               static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const uint32_t what = events[i].events;
    const bool failed = (what & (EPOLLERR | EPOLLHUP)) != 0;
    ares_process_fd(
        channel_,
        (what & EPOLLIN) != 0 || failed ? events[i].data.fd : ARES_SOCKET_BAD,
        (what & EPOLLOUT) != 0 ? events[i].data.fd : ARES_SOCKET_BAD);
  }
  // Timeouts.
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

absl::StatusOr<DnsAnswer> DnsQuery::TakeAnswer() {
  if (!answer_.has_value()) {
    return absl::FailedPreconditionError(Operation() + ": no answer yet");
  }
  return *std::exchange(answer_, std::nullopt);
}

absl::StatusOr<DnsAnswer> DnsQuery::Ask(const DnsOptions& options,
                                        absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  NP_ASSIGN_OR_RETURN(std::unique_ptr<DnsQuery> query, Start(options));
  while (!query->done()) {
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(Operation() + ": no answer in time");
    }
    pollfd wait = {query->fd(), POLLIN, 0};
    const absl::Duration step =
        std::min(left, query->timeout() + absl::Milliseconds(1));
    poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(step)));
    query->Process();
  }
  return query->TakeAnswer();
}

}  // namespace netpolicy::clat
