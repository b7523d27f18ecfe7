#ifndef NETPOLICY_LIBPOLICY_MODEL_EDIT_NETWORK_H_
#define NETPOLICY_LIBPOLICY_MODEL_EDIT_NETWORK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "libpolicy/model/edit.h"

// Part of PolicyEdit; private to it.

namespace netpolicy {

// Applies one change of each kind of network_change.h. Nothing is written
// before everything is checked.
struct PolicyEdit::NetworkApplier {
  PolicyEdit& edit;

  absl::Status operator()(const SetSettings& change) const;
  absl::Status operator()(const SetProfile& change) const;
  absl::Status operator()(const SetDefaultLockdown& change) const;
  absl::Status operator()(const SetDefaultLocalNetwork& change) const;
  absl::Status operator()(const SetDefaultInterfaces& change) const;
  absl::Status operator()(const SetInterface& change) const;
  absl::Status operator()(const RemoveInterface& change) const;
  absl::Status operator()(const SetUidInterfaces& change) const;
  absl::Status operator()(const SetLockdown& change) const;
  absl::Status operator()(const SetLocalNetworkAccess& change) const;
  absl::Status operator()(const SetUpdateDeviceStats& change) const;
  absl::Status operator()(const SetNetworkRules& change) const;
  absl::Status operator()(const AddNetworkRule& change) const;
  absl::Status operator()(const RemoveNetworkRule& change) const;
  absl::Status operator()(const SetIngressDiscard& change) const;
  absl::Status operator()(const RemoveIngressDiscard& change) const;
  absl::Status operator()(const SetLocalNetworkRule& change) const;
  absl::Status operator()(const RemoveLocalNetworkRule& change) const;
  absl::Status operator()(const SetBlockedBindPorts& change) const;

 private:
  // The rules of a UID, or the default ones.
  const NetworkRules& RulesOf(absl::optional<Uid> uid) const;
  void SetRulesOf(absl::optional<Uid> uid, NetworkRules rules) const;
};

// kInvalidArgument `OPERATION uid N: not a uid`.
absl::Status CheckUidOf(absl::string_view operation, Uid uid);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_EDIT_NETWORK_H_
