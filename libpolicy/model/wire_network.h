#ifndef NETPOLICY_LIBPOLICY_MODEL_WIRE_NETWORK_H_
#define NETPOLICY_LIBPOLICY_MODEL_WIRE_NETWORK_H_

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_field.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/network_wire.h"
#include "libpolicy/proto/policy.pb.h"

// Part of wire.h, about interfaces, networks and the machine; private to it.

namespace netpolicy {

// The change of network_change.h that `change` is. Requires that it is one.
void NetworkChangeToProto(const Change& change, proto::Change& message);

// Errors: `KIND.FIELD: cause`, and `kind: is missing or unknown` for a message
// that holds no change of network_change.h.
absl::StatusOr<Change> NetworkChangeFromProto(const proto::Change& message);

void ToProto(const NetworkPolicy& network, proto::NetworkPolicy& message);
absl::StatusOr<NetworkPolicy> FromProto(const proto::NetworkPolicy& message);

using RuleMessages = google::protobuf::RepeatedPtrField<proto::NetworkRule>;
void ToProto(const NetworkRules& rules, RuleMessages& messages);
// `LIST[N].FIELD: cause`.
absl::StatusOr<NetworkRules> RulesFromProto(absl::string_view list,
                                            const RuleMessages& messages);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_WIRE_NETWORK_H_
