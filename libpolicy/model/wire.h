#ifndef NETPOLICY_LIBPOLICY_MODEL_WIRE_H_
#define NETPOLICY_LIBPOLICY_MODEL_WIRE_H_

#include "absl/status/statusor.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/policy.h"
#include "libpolicy/proto/policy.pb.h"

// The model's values as messages, and back. What is sent is received:
// FromProto(ToProto(x)) == x.
//
// FromProto() trusts nobody: a missing field, an unset oneof, an unknown enum
// value or anything that no valid value could hold is kInvalidArgument, and the
// message begins with the path of the field (`changes[3].set_uid_rule.uid: is
// missing`). It reports the first fault only: the sender is a program.

namespace netpolicy {

proto::Policy ToProto(const Policy& policy);
absl::StatusOr<Policy> FromProto(const proto::Policy& message);

// Whether the changes apply (does the chain exist?) is PolicyEdit's question.
proto::Transaction ToProto(const Transaction& transaction);
absl::StatusOr<Transaction> FromProto(const proto::Transaction& message);

// Whether a delta fits the policy that it is applied to can't be seen here.
proto::PolicyDelta ToProto(const PolicyDelta& delta);
absl::StatusOr<PolicyDelta> FromProto(const proto::PolicyDelta& message);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_WIRE_H_
