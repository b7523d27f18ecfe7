#ifndef NETPOLICY_LIBPOLICY_MODEL_NETWORK_WIRE_H_
#define NETPOLICY_LIBPOLICY_MODEL_NETWORK_WIRE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_field.h"
#include "libpolicy/model/policy.h"
#include "libpolicy/proto/policy.pb.h"

// The values that documents and the wire say in the same messages. As wire.h:
// what is sent is received, what no valid value could hold is kInvalidArgument
// `FIELD: cause`, the first fault only.

namespace netpolicy {

void ToProto(const Settings& settings, proto::Settings& message);
void ToProto(const Interface& interface, proto::Interface& message);
void ToProto(const NetworkRule& rule, proto::NetworkRule& message);
void ToProto(const PortRange& ports, proto::PortRange& message);
void ToProto(const IngressDiscard& discard, proto::IngressDiscard& message);
proto::Profile ToProto(Profile profile);

// What the message leaves out is as in `base`.
absl::StatusOr<Settings> SettingsFromProto(const proto::Settings& message,
                                           const Settings& base);
absl::StatusOr<Profile> ProfileFromProto(proto::Profile profile);

// Lists may be in any order; they come out in the model's.
absl::StatusOr<Interface> FromProto(const proto::Interface& message);
absl::StatusOr<NetworkRule> FromProto(const proto::NetworkRule& message);
absl::StatusOr<PortRange> FromProto(const proto::PortRange& message);
absl::StatusOr<IngressDiscard> FromProto(const proto::IngressDiscard& message);

// A rule of local_network: without an action it denies.
absl::StatusOr<NetworkRule> LocalRuleFromProto(
    const proto::NetworkRule& message);

// `interfaces[N]: cause`.
using Strings = google::protobuf::RepeatedPtrField<std::string>;
absl::StatusOr<Selectors> SelectorsFromProto(const Strings& names);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_NETWORK_WIRE_H_
