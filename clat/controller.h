// SPDX-License-Identifier: Apache-2.0
//
// Translates on the uplinks that need it, for as long as they do.
//
//   NP_ASSIGN_OR_RETURN(auto controller, Controller::Open({.automatic =
//   {"*"}})); loop: wait until controller->fd() is readable;
//   controller->Process();
//
// What it has set up stays in the kernel when it goes: packets are translated
// on, and the next controller takes over what is there.
//
// Each change of the network makes it look at the whole of it and compare what
// is with what should be (PlanUplink()), so that nothing depends on the order
// of messages, and lost ones cost a moment.

#ifndef NETPOLICY_CLAT_CONTROLLER_H_
#define NETPOLICY_CLAT_CONTROLLER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "bpf_progs/abi/clat.h"
#include "clat/change_log.h"
#include "clat/clat_interface.h"
#include "clat/dns_query.h"
#include "clat/installer.h"
#include "clat/network.h"
#include "clat/prefix_table.h"
#include "clat/router_listener.h"
#include "clat/settings.h"
#include "clat/status.h"
#include "clat/uplink_plan.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/netlink.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/model/ids.h"

namespace netpolicy::clat {

// Something that the log should have.
struct ControllerEvent {
  enum class Kind : uint8_t {
    kOn,       // translates from now on
    kChanged,  // with another prefix or address
    kOff,
    kError,  // could not do what it should; will try again
  };
  Kind kind = Kind::kOn;
  std::string interface;
  std::string detail;  // "prefix=64:ff9b::/96 ..."; the reason; the error
};

enum class ControllerMode : uint8_t {
  kWork,
  kLook,  // only Uplinks() is called, and nothing is changed
};

struct ControllerOptions {
  ControllerMode mode = ControllerMode::kWork;
  std::string pin_dir = kDefaultClatPinDir;
  PinAccess access = {};
  // Uplinks that are looked after without being asked for: shell patterns of
  // names. None: only those that Start() names.
  std::vector<std::string> automatic = {};
  // For the automatic ones.
  UplinkSettings settings = {};
  // Instead of those of /etc/resolv.conf.
  std::vector<std::string> dns_servers = {};
  // For addresses that are the same every time (RFC 7217); not given: random
  // ones.
  std::optional<SecretKey> secret = {};
  std::function<void(const ControllerEvent&)> observer = {};
};

// Works in the network namespace of the thread that opened it.
// Thread-compatible; Process() and all else is called by one thread at a time.
class Controller final : public ClatInterface {
 public:
  // Takes over what is translated already: uplinks that are no automatic ones
  // go on as if they had been started with the prefix that they have. Errors:
  // those of Installer::Open().
  static absl::StatusOr<std::unique_ptr<Controller>> Open(
      ControllerOptions options);

  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  ~Controller() override;

  // Call Process() when this is readable; owned by this object.
  int fd() const { return epoll_.get(); }

  // Takes in what happened and does what is due.
  void Process();

  absl::Status Start(const std::string& interface,
                     const UplinkSettings& settings) override;
  absl::Status Stop(const std::string& interface) override;
  absl::StatusOr<std::vector<UplinkStatus>> Uplinks() override;
  // What it has heard of; asks nobody.
  absl::StatusOr<std::vector<DiscoveredPrefix>> Discover(
      const std::string& interface) override;
  absl::StatusOr<Changes> ChangesAfter(uint64_t seen) override {
    return changes_.After(seen);
  }

  // Ends translation everywhere and removes the pins; the controller is of no
  // use after that.
  absl::Status Detach();

 private:
  enum class Origin : uint8_t { kAutomatic, kAsked };

  struct Uplink {
    std::string name;
    Origin origin = Origin::kAutomatic;
    Presence stopped = Presence::kAbsent;  // until started again
    UplinkSettings settings = {};
    IfIndex ifindex{};  // when it was last there

    std::optional<Identity> wanted = {};  // its address is being set up
    uint32_t attempt = 0;                 // addresses that others had
    // Nothing: it is as planned.
    std::optional<OffReason> reason = OffReason::kNoInterface;
    absl::Status error = {};

    std::unique_ptr<DnsQuery> dns = {};
    absl::Time next_dns = absl::InfinitePast();
    int dns_failures = 0;
    absl::Time next_solicitation = absl::InfinitePast();
    int solicitations = 0;
  };

  explicit Controller(ControllerOptions options);

  // Since the machine was started, suspension included: lifetimes go on when
  // somebody sets the clock, as machines without a battery do after the start.
  static absl::Time Now();

  absl::Status Init();
  absl::Status Watch(int fd);
  void Drain();
  void Heard(const RouterNotice& notice, absl::Time now);
  void Reconcile(absl::Time now);
  void FindUplinks(const NetworkState& network,
                   const std::map<IfIndex, Identity>& installed);
  bool IsAutomatic(const Link& link) const;
  // What one uplink needs next.
  void Look(Uplink& uplink, const NetworkState& network,
            const std::map<IfIndex, Identity>& installed, absl::Time now);
  void TurnOn(Uplink& uplink, const UplinkPlan& plan,
              const NetworkState& network,
              const std::map<IfIndex, Identity>& installed);
  void TurnOff(Uplink& uplink, OffReason reason, const NetworkState& network,
               const std::map<IfIndex, Identity>& installed);
  void Discover(Uplink& uplink, absl::Time now);
  std::vector<DiscoveredPrefix> Discovered(const Uplink& uplink,
                                           absl::Time now) const;
  void TakeDnsAnswer(Uplink& uplink, absl::Time now);
  void Report(ControllerEvent::Kind kind, const std::string& interface,
              std::string detail);
  void ArmTimer(absl::Time now);
  void SetTimer(absl::Duration wait);

  ControllerOptions options_;
  SecretKey secret_{};
  std::unique_ptr<Installer> installer_;
  std::optional<NetlinkMonitor> monitor_;
  std::optional<RouterListener> listener_;  // with CAP_NET_RAW
  UniqueFd epoll_;
  UniqueFd timer_;
  std::map<std::string, Uplink> uplinks_;
  PrefixTable prefixes_;
  ChangeLog changes_;
  Presence retry_ = Presence::kAbsent;  // something failed
  absl::Time looked_ = absl::InfinitePast();
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_CONTROLLER_H_
