// SPDX-License-Identifier: Apache-2.0

#include "clat/controller.h"

#include <fnmatch.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy::clat {
namespace {

// RFC 4861, 10.
constexpr int kMaxSolicitations = 3;
constexpr absl::Duration kSolicitationInterval = absl::Seconds(4);

constexpr absl::Duration kSolicitationRetry = absl::Milliseconds(500);

// How long routers have to answer before DNS is asked (RFC 9872: they come
// first).
constexpr absl::Duration kRoutersFirst = absl::Seconds(1);

// DNS is asked again: so long after a failure, twice as long after each next
// one; and never sooner, whatever the answer says.
constexpr absl::Duration kDnsRetry = absl::Seconds(5);
constexpr absl::Duration kDnsRetryMax = absl::Minutes(10);
constexpr absl::Duration kMinTtl = absl::Seconds(30);

// How long a prefix that was used before is used on while nobody tells one:
// routers and DNS that answer at all do within this time.
constexpr absl::Duration kAdoption = absl::Minutes(2);

// A failed step is tried again after so long.
constexpr absl::Duration kRetry = absl::Seconds(2);
// How often duplicate address detection is looked after.
constexpr absl::Duration kAddressPoll = absl::Milliseconds(100);

// Most addresses that may turn out to be somebody else's (RFC 7217, 6).
constexpr uint32_t kMaxAttempts = 3;

// The network is looked at no more often, however often it changes.
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);

std::string Describe(const UplinkPlan& plan) {
  return absl::StrCat("prefix=", plan.config.prefix.ToString(),
                      " local4=", plan.config.pairs.front().ip4.ToString(),
                      " local6=", plan.config.pairs.front().ip6.ToString());
}

}  // namespace

Controller::Controller(ControllerOptions options)
    : options_(std::move(options)) {}

Controller::~Controller() = default;

absl::Time Controller::Now() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::UnixEpoch() + absl::DurationFromTimespec(now);
}

absl::StatusOr<std::unique_ptr<Controller>> Controller::Open(
    ControllerOptions options) {
  auto controller =
      std::unique_ptr<Controller>(new Controller(std::move(options)));
  NP_RETURN_IF_ERROR(controller->Init());
  return controller;
}

absl::Status Controller::Watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return StatusFromErrno(errno, "watch the network");
  }
  return absl::OkStatus();
}

absl::Status Controller::Init() {
  NP_RETURN_IF_ERROR(CheckSettings(options_.settings));
  if (options_.secret.has_value()) {
    secret_ = *options_.secret;
  } else if (getrandom(secret_.data(), secret_.size(), 0) !=
             static_cast<ssize_t>(secret_.size())) {
    return StatusFromErrno(errno, "get random numbers");
  }
  NP_ASSIGN_OR_RETURN(installer_,
                      Installer::Open(options_.pin_dir, options_.access));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_.ok() || !timer_.ok()) {
    return StatusFromErrno(errno, "watch the network");
  }
  // Before anything is read, so that no change is missed.
  NP_ASSIGN_OR_RETURN(monitor_, MonitorNetwork());
  NP_RETURN_IF_ERROR(Watch(monitor_->fd()));
  NP_RETURN_IF_ERROR(Watch(timer_.get()));
  // Without it the kernel's messages have to do.
  auto listener = RouterListener::Open();
  if (listener.ok()) {
    listener_ = *std::move(listener);
    NP_RETURN_IF_ERROR(Watch(listener_->fd()));
  }
  const absl::Time now = Now();
  NP_ASSIGN_OR_RETURN(const auto installed, installer_->Installed());
  for (const auto& [ifindex, identity] : installed) {
    prefixes_.Learn({.ifindex = ifindex,
                     .source = PrefixSource::kAdopted,
                     .prefix = identity.prefix,
                     .expires = now + kAdoption},
                    now);
  }
  if (options_.mode == ControllerMode::kLook) {
    NP_ASSIGN_OR_RETURN(const NetworkState network,
                        ReadNetwork(installer_->netlink()));
    FindUplinks(network, installed);
    for (auto& [name, uplink] : uplinks_) uplink.reason.reset();
    return absl::OkStatus();
  }
  Reconcile(now);
  return absl::OkStatus();
}

void Controller::Report(ControllerEvent::Kind kind,
                        const std::string& interface, std::string detail) {
  using Kind = ControllerEvent::Kind;
  changes_.Add({.time = absl::Now(),
                .kind = kind == Kind::kOn        ? "on"
                        : kind == Kind::kChanged ? "changed"
                        : kind == Kind::kOff     ? "off"
                                                 : "error",
                .interface = interface,
                .detail = detail});
  if (options_.observer)
    options_.observer({kind, interface, std::move(detail)});
}

void Controller::Heard(const RouterNotice& notice, absl::Time now) {
  for (const Pref64Notice& one : notice.prefixes) {
    prefixes_.Learn({.ifindex = notice.ifindex,
                     .source = PrefixSource::kRouter,
                     .router = notice.router,
                     .prefix = one.prefix,
                     .expires = now + one.lifetime},
                    now);
  }
}

void Controller::Drain() {
  const absl::Time now = Now();
  uint64_t expirations;
  // Only to be not readable any more.
  [[maybe_unused]] const ssize_t ignored =
      read(timer_.get(), &expirations, sizeof(expirations));
  // When messages were lost, looking at everything makes up for it, but for
  // prefixes, which routers tell again.
  auto messages = monitor_->Read();
  if (messages.ok()) {
    for (const NetlinkMessage& message : *messages) {
      if (auto notice = ParseUserOption(message)) Heard(*notice, now);
    }
  }
  if (listener_.has_value()) {
    auto notices = listener_->Read();
    if (notices.ok()) {
      for (const RouterNotice& notice : *notices) Heard(notice, now);
    }
  }
  for (auto& [name, uplink] : uplinks_) {
    if (uplink.dns != nullptr) uplink.dns->Process();
  }
}

void Controller::Process() {
  Drain();
  const absl::Time now = Now();
  if (now < looked_ + kLookInterval) {
    SetTimer(looked_ + kLookInterval - now);
    return;
  }
  Reconcile(now);
}

bool Controller::IsAutomatic(const Link& link) const {
  return link.loopback == Presence::kAbsent &&
         std::any_of(options_.automatic.begin(), options_.automatic.end(),
                     [&](const std::string& pattern) {
                       return fnmatch(pattern.c_str(), link.name.c_str(), 0) ==
                              0;
                     });
}

// Makes uplinks_ what there is to look after.
void Controller::FindUplinks(const NetworkState& network,
                             const std::map<IfIndex, Identity>& installed) {
  for (const Link& link : network.links) {
    if (uplinks_.count(link.name) != 0) continue;
    const auto found = installed.find(link.ifindex);
    Uplink uplink{.name = link.name};
    uplink.ifindex = link.ifindex;
    if (IsAutomatic(link)) {
      uplink.settings = options_.settings;
    } else if (found != installed.end()) {
      // Another process started it, and may have been told its settings.
      uplink.origin = Origin::kAsked;
      uplink.settings = {.prefix = found->second.prefix,
                         .local4 = found->second.pair.ip4,
                         .mappings = installer_->Mappings(link.ifindex),
                         .native4 = NativeIpv4::kIsIgnored};
      // An address in none of the link's networks is in one that is routed to
      // us.
      const Ipv6Prefix own = NetworkOf(found->second.pair.ip6);
      if (std::none_of(network.addresses6.begin(), network.addresses6.end(),
                       [&](const InterfaceAddress6& one) {
                         return one.ifindex == link.ifindex &&
                                one.prefix_length <= 64 &&
                                NetworkOf(one.address) == own;
                       })) {
        uplink.settings.network6 = own;
      }
    } else {
      continue;
    }
    uplinks_.emplace(link.name, std::move(uplink));
  }
  for (auto it = uplinks_.begin(); it != uplinks_.end();) {
    Uplink& uplink = it->second;
    const Link* link = network.FindLink(uplink.name);
    if (link == nullptr && uplink.origin == Origin::kAutomatic) {
      prefixes_.Forget(uplink.ifindex);
      it = uplinks_.erase(it);
      continue;
    }
    if (link != nullptr && link->ifindex != uplink.ifindex) {
      prefixes_.Forget(uplink.ifindex);
      uplink.ifindex = link->ifindex;
      uplink.wanted.reset();
      uplink.solicitations = 0;
    }
    ++it;
  }
}

void Controller::Reconcile(absl::Time now) {
  looked_ = now;
  retry_ = Presence::kAbsent;
  auto network = ReadNetwork(installer_->netlink());
  auto installed = installer_->Installed();
  if (!network.ok() || !installed.ok()) {
    Report(
        ControllerEvent::Kind::kError, "",
        std::string(
            (network.ok() ? installed.status() : network.status()).message()));
    retry_ = Presence::kPresent;
    ArmTimer(now);
    return;
  }
  // Interfaces that are gone have left their entries behind.
  for (const auto& [ifindex, identity] : *installed) {
    if (network->FindLink(ifindex) != nullptr) continue;
    const absl::Status removed = installer_->Remove(ifindex, *network);
    if (!removed.ok()) {
      Report(ControllerEvent::Kind::kError, "", std::string(removed.message()));
      continue;
    }
    const IfIndex gone = ifindex;
    const auto uplink = std::find_if(
        uplinks_.begin(), uplinks_.end(),
        [&](const auto& one) { return one.second.ifindex == gone; });
    Report(ControllerEvent::Kind::kOff,
           uplink == uplinks_.end() ? "" : uplink->first,
           absl::StrCat(OffReasonText(OffReason::kNoInterface),
                        installer_->TakeEnded().ToString()));
  }
  FindUplinks(*network, *installed);
  for (auto& [name, uplink] : uplinks_) {
    // What the one before has taken is taken.
    auto installed_now = installer_->Installed();
    if (installed_now.ok()) Look(uplink, *network, *installed_now, now);
  }
  ArmTimer(now);
}

void Controller::Look(Uplink& uplink, const NetworkState& network,
                      const std::map<IfIndex, Identity>& installed,
                      absl::Time now) {
  TakeDnsAnswer(uplink, now);
  if (uplink.stopped == Presence::kPresent) return;
  UplinkQuestion question{.network = network,
                          .settings = uplink.settings,
                          .interface = uplink.name,
                          .known = prefixes_.Best(uplink.ifindex, now),
                          .secret = secret_,
                          .attempt = uplink.attempt};
  for (const auto& [ifindex, identity] : installed) {
    if (ifindex == uplink.ifindex) {
      question.now = identity;
    } else {
      question.taken.insert(identity.pair.ip4);
    }
  }
  const absl::variant<UplinkPlan, OffReason> answer = PlanUplink(question);
  if (absl::holds_alternative<OffReason>(answer)) {
    const OffReason reason = absl::get<OffReason>(answer);
    if (reason == OffReason::kNoCarrier || reason == OffReason::kNoInterface) {
      // It may come back in another network.
      prefixes_.Forget(uplink.ifindex);
      uplink.dns.reset();
      uplink.next_dns = absl::InfinitePast();
      uplink.next_solicitation = absl::InfinitePast();
      uplink.solicitations = 0;
    } else if (reason == OffReason::kNoPrefix) {
      Discover(uplink, now);
    }
    TurnOff(uplink, reason, network, installed);
    return;
  }
  const UplinkPlan& plan = absl::get<UplinkPlan>(answer);
  if (plan.source != PrefixSource::kConfigured) Discover(uplink, now);
  TurnOn(uplink, plan, network, installed);
}

void Controller::TurnOn(Uplink& uplink, const UplinkPlan& plan,
                        const NetworkState& network,
                        const std::map<IfIndex, Identity>& installed) {
  const Identity identity{plan.config.prefix, plan.config.pairs.front()};
  const auto fail = [&](const absl::Status& status) {
    if (uplink.error != status) {
      Report(ControllerEvent::Kind::kError, uplink.name,
             std::string(status.message()));
    }
    uplink.error = status;
    uplink.reason = OffReason::kFailed;
    retry_ = Presence::kPresent;
  };
  // Another address was about to be used.
  if (uplink.wanted.has_value() &&
      uplink.wanted->pair.ip6 != identity.pair.ip6) {
    const auto now = installed.find(plan.ifindex);
    if (now == installed.end() ||
        now->second.pair.ip6 != uplink.wanted->pair.ip6) {
      installer_->RemoveAddress6(plan.ifindex, uplink.wanted->pair.ip6)
          .IgnoreError();
    }
  }
  uplink.wanted = identity;
  const absl::Status address = installer_->SetUpAddress6(plan, network);
  if (!address.ok()) return fail(address);
  if (plan.place == Local6Place::kOnLink) {
    using State = InterfaceAddress6::State;
    const InterfaceAddress6* found =
        network.FindAddress(plan.ifindex, identity.pair.ip6);
    if (found != nullptr && found->state == State::kDuplicate) {
      installer_->RemoveAddress6(plan.ifindex, identity.pair.ip6).IgnoreError();
      uplink.wanted.reset();
      if (uplink.attempt >= kMaxAttempts) {
        return fail(absl::AlreadyExistsError(absl::StrCat(
            "set up address ", identity.pair.ip6.ToString(), " of ",
            uplink.name, ": somebody has it, and those before")));
      }
      ++uplink.attempt;
      uplink.reason = OffReason::kDetectingDuplicates;
      return;
    }
    // One that was added just now is in the next look.
    if (found == nullptr || found->state == State::kTentative) {
      uplink.reason = OffReason::kDetectingDuplicates;
      return;
    }
  }
  const absl::Status status = installer_->Install(plan, network);
  const std::string ended = installer_->TakeEnded().ToString();
  if (!status.ok()) return fail(status);
  const auto before = installed.find(plan.ifindex);
  if (before == installed.end()) {
    Report(ControllerEvent::Kind::kOn, uplink.name, Describe(plan));
  } else if (before->second != identity) {
    Report(ControllerEvent::Kind::kChanged, uplink.name,
           absl::StrCat(Describe(plan), ended));
  }
  uplink.error = absl::OkStatus();
  uplink.reason.reset();
}

void Controller::TurnOff(Uplink& uplink, OffReason reason,
                         const NetworkState& network,
                         const std::map<IfIndex, Identity>& installed) {
  uplink.reason = reason;
  uplink.error = absl::OkStatus();
  if (uplink.wanted.has_value()) {
    installer_->RemoveAddress6(uplink.ifindex, uplink.wanted->pair.ip6)
        .IgnoreError();
    uplink.wanted.reset();
  }
  if (installed.count(uplink.ifindex) == 0) return;
  const absl::Status status = installer_->Remove(uplink.ifindex, network);
  if (!status.ok()) {
    uplink.error = status;
    retry_ = Presence::kPresent;
    Report(ControllerEvent::Kind::kError, uplink.name,
           std::string(status.message()));
    return;
  }
  Report(
      ControllerEvent::Kind::kOff, uplink.name,
      absl::StrCat(OffReasonText(reason), installer_->TakeEnded().ToString()));
}

// Asks routers, then DNS, for as long as no router tells a prefix.
void Controller::Discover(Uplink& uplink, absl::Time now) {
  const auto best = prefixes_.Best(uplink.ifindex, now);
  if (best.has_value() && best->source == PrefixSource::kRouter) {
    uplink.dns.reset();
    uplink.next_dns = absl::InfinitePast();
    return;
  }
  if (listener_.has_value() && uplink.solicitations < kMaxSolicitations &&
      now >= uplink.next_solicitation) {
    // Can't be sent while the link-local address is tentative.
    const bool sent = listener_->Solicit(uplink.ifindex).ok();
    if (sent) ++uplink.solicitations;
    uplink.next_solicitation =
        now + (sent ? kSolicitationInterval : kSolicitationRetry);
  }
  if (uplink.next_dns == absl::InfinitePast()) {
    uplink.next_dns = now + kRoutersFirst;
  }
  if (uplink.dns != nullptr || now < uplink.next_dns) return;
  auto query = DnsQuery::Start(
      {.interface = uplink.name, .servers = options_.dns_servers});
  if (!query.ok()) {
    uplink.next_dns = now + kDnsRetryMax;
    Report(ControllerEvent::Kind::kError, uplink.name,
           std::string(query.status().message()));
    return;
  }
  uplink.dns = *std::move(query);
  Watch(uplink.dns->fd()).IgnoreError();
}

void Controller::TakeDnsAnswer(Uplink& uplink, absl::Time now) {
  if (uplink.dns == nullptr || !uplink.dns->done()) return;
  const absl::StatusOr<DnsAnswer> answer = uplink.dns->TakeAnswer();
  uplink.dns.reset();
  if (!answer.ok()) {
    // What was known stays until its time is over.
    const absl::Duration wait =
        kDnsRetry * (1 << std::min(uplink.dns_failures, 10));
    ++uplink.dns_failures;
    uplink.next_dns = now + std::min(wait, kDnsRetryMax);
    return;
  }
  uplink.dns_failures = 0;
  prefixes_.ForgetDns(uplink.ifindex);
  const absl::Duration ttl = std::max(answer->ttl, kMinTtl);
  for (const Pref64& prefix : answer->prefixes) {
    // Some time to ask again while it is still good.
    prefixes_.Learn({.ifindex = uplink.ifindex,
                     .source = PrefixSource::kDns,
                     .prefix = prefix,
                     .expires = now + ttl + kDnsRetry},
                    now);
  }
  uplink.next_dns = now + ttl;
}

void Controller::ArmTimer(absl::Time now) {
  absl::Time next = prefixes_.NextExpiry(now);
  if (retry_ == Presence::kPresent) next = std::min(next, now + kRetry);
  for (const auto& [name, uplink] : uplinks_) {
    if (uplink.stopped == Presence::kPresent) continue;
    if (uplink.reason == OffReason::kDetectingDuplicates) {
      next = std::min(next, now + kAddressPoll);
    }
    if (uplink.dns != nullptr) {
      next = std::min(next, now + uplink.dns->timeout());
    } else if (uplink.next_dns > now) {
      next = std::min(next, uplink.next_dns);
    }
    if (uplink.next_solicitation > now) {
      next = std::min(next, uplink.next_solicitation);
    }
  }
  SetTimer(next - now);
}

void Controller::SetTimer(absl::Duration wait) {
  itimerspec when{};
  if (wait != absl::InfiniteDuration()) {
    when.it_value = absl::ToTimespec(std::max(wait, absl::Milliseconds(1)));
  }
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

absl::Status Controller::Start(const std::string& interface,
                               const UplinkSettings& settings) {
  NP_RETURN_IF_ERROR(CheckSettings(settings));
  NP_ASSIGN_OR_RETURN(const NetworkState network,
                      ReadNetwork(installer_->netlink()));
  const Link* link = network.FindLink(interface);
  if (link == nullptr) {
    return absl::NotFoundError(absl::StrCat("start translation on ", interface,
                                            ": no such interface"));
  }
  Uplink uplink{.name = interface};
  uplink.origin = Origin::kAsked;
  uplink.settings = settings;
  uplink.ifindex = link->ifindex;
  uplinks_[interface] = std::move(uplink);
  Reconcile(Now());
  return absl::OkStatus();
}

absl::Status Controller::Stop(const std::string& interface) {
  const auto found = uplinks_.find(interface);
  if (found == uplinks_.end()) {
    return absl::NotFoundError(
        absl::StrCat("stop translation on ", interface,
                     ": it was neither started there nor is it automatic"));
  }
  Uplink& uplink = found->second;
  uplink.stopped = Presence::kPresent;
  uplink.dns.reset();
  NP_ASSIGN_OR_RETURN(const NetworkState network,
                      ReadNetwork(installer_->netlink()));
  NP_ASSIGN_OR_RETURN(const auto installed, installer_->Installed());
  TurnOff(uplink, OffReason::kStopped, network, installed);
  const absl::Status status = uplink.error;
  if (status.ok() && uplink.origin == Origin::kAsked) uplinks_.erase(found);
  return status;
}

absl::Status Controller::Detach() {
  NP_ASSIGN_OR_RETURN(const NetworkState network,
                      ReadNetwork(installer_->netlink()));
  NP_ASSIGN_OR_RETURN(const auto installed, installer_->Installed());
  for (auto& [name, uplink] : uplinks_) {
    uplink.stopped = Presence::kPresent;
    TurnOff(uplink, OffReason::kStopped, network, installed);
  }
  for (const auto& [ifindex, identity] : installed) {
    NP_RETURN_IF_ERROR(installer_->Remove(ifindex, network));
  }
  return installer_->RemovePins();
}

}  // namespace netpolicy::clat
