#ifndef NETPOLICY_LIBPOLICY_MODEL_NETWORK_CHANGE_H_
#define NETPOLICY_LIBPOLICY_MODEL_NETWORK_CHANGE_H_

#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "libpolicy/model/ids.h"
#include "libpolicy/model/policy.h"

// Changes (libpolicy/model/edit.h) of what a policy says of interfaces,
// networks and the machine. Lists may be in any order and say a thing twice.
// Each returns kInvalidArgument for a value that makes no sense, and further
// errors where said.

namespace netpolicy {

struct SetSettings {
  Settings settings;

  friend bool operator==(const SetSettings&, const SetSettings&) = default;
};
// All settings become the profile's.
struct SetProfile {
  Profile profile;

  friend bool operator==(const SetProfile&, const SetProfile&) = default;
};
struct SetDefaultLockdown {
  Switch lockdown;

  friend bool operator==(const SetDefaultLockdown&,
                         const SetDefaultLockdown&) = default;
};
struct SetDefaultLocalNetwork {
  Permission local_network;

  friend bool operator==(const SetDefaultLocalNetwork&,
                         const SetDefaultLocalNetwork&) = default;
};
// Empty: no interface rule by default.
struct SetDefaultInterfaces {
  Selectors interfaces;

  friend bool operator==(const SetDefaultInterfaces&,
                         const SetDefaultInterfaces&) = default;
};
// Says this of the interfaces of that name or PREFIX*, instead of what was said
// before.
struct SetInterface {
  Interface interface;

  friend bool operator==(const SetInterface&, const SetInterface&) = default;
};
// Errors: kNotFound.
struct RemoveInterface {
  std::string name;

  friend bool operator==(const RemoveInterface&,
                         const RemoveInterface&) = default;
};
// Empty: the default holds again. Android: addUidInterfaceRules(), its
// wildcard is "*"; removeUidInterfaceRules().
struct SetUidInterfaces {
  Uid uid;
  Selectors interfaces;

  friend bool operator==(const SetUidInterfaces&,
                         const SetUidInterfaces&) = default;
};
// Unset: the default holds again. Android: updateUidLockdownRule().
struct SetLockdown {
  Uid uid;
  absl::optional<Switch> lockdown;

  friend bool operator==(const SetLockdown&, const SetLockdown&) = default;
};
// Unset: the default holds again. Android: addUidToLocalNetBlockMap() and
// removeUidFromLocalNetBlockMap().
struct SetLocalNetworkAccess {
  Uid uid;
  absl::optional<Permission> local_network;

  friend bool operator==(const SetLocalNetworkAccess&,
                         const SetLocalNetworkAccess&) = default;
};
// Android: setNetPermForUids() with PERMISSION_UPDATE_DEVICE_STATS.
struct SetUpdateDeviceStats {
  Uid uid;
  Permission update_device_stats;

  friend bool operator==(const SetUpdateDeviceStats&,
                         const SetUpdateDeviceStats&) = default;
};
// The rules of the UID, or if unset the default ones, are exactly `rules`.
struct SetNetworkRules {
  absl::optional<Uid> uid;
  NetworkRules rules;

  friend bool operator==(const SetNetworkRules&,
                         const SetNetworkRules&) = default;
};
// The UID, or if unset the defaults, has the rule too.
struct AddNetworkRule {
  absl::optional<Uid> uid;
  NetworkRule rule;

  friend bool operator==(const AddNetworkRule&,
                         const AddNetworkRule&) = default;
};
// Errors: kNotFound.
struct RemoveNetworkRule {
  absl::optional<Uid> uid;
  NetworkRule rule;

  friend bool operator==(const RemoveNetworkRule&,
                         const RemoveNetworkRule&) = default;
};
// Instead of what was said of the address before. Android:
// setIngressDiscardRule(), with one or two interfaces.
struct SetIngressDiscard {
  IngressDiscard discard;

  friend bool operator==(const SetIngressDiscard&,
                         const SetIngressDiscard&) = default;
};
// Android: removeIngressDiscardRule(). Errors: kNotFound.
struct RemoveIngressDiscard {
  AddressBytes address;

  friend bool operator==(const RemoveIngressDiscard&,
                         const RemoveIngressDiscard&) = default;
};
// Instead of a rule that differs in its action alone. Android:
// addLocalNetAccess().
struct SetLocalNetworkRule {
  NetworkRule rule;

  friend bool operator==(const SetLocalNetworkRule&,
                         const SetLocalNetworkRule&) = default;
};
// Android: removeLocalNetAccess(). Errors: kNotFound.
struct RemoveLocalNetworkRule {
  NetworkRule rule;  // whatever its action

  friend bool operator==(const RemoveLocalNetworkRule&,
                         const RemoveLocalNetworkRule&) = default;
};
// Exactly these ports.
struct SetBlockedBindPorts {
  std::vector<PortRange> ports;

  friend bool operator==(const SetBlockedBindPorts&,
                         const SetBlockedBindPorts&) = default;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_NETWORK_CHANGE_H_
