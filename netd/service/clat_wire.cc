// SPDX-License-Identifier: Apache-2.0

#include "netd/service/clat_wire.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy {
namespace {

using clat::Ipv4Address;
using clat::Ipv6Address;
using clat::Ipv6Prefix;
using clat::Pref64;

service::ClatPrefix ToWire(const clat::DiscoveredPrefix& prefix) {
  service::ClatPrefix message;
  message.set_prefix(prefix.prefix.ToString());
  message.set_source(prefix.source);
  if (prefix.router.has_value()) message.set_router(prefix.router->ToString());
  message.set_lifetime_ms(
      static_cast<uint64_t>(absl::ToInt64Milliseconds(prefix.lifetime)));
  return message;
}

absl::StatusOr<clat::DiscoveredPrefix> FromWire(
    const service::ClatPrefix& message) {
  NP_ASSIGN_OR_RETURN(const Pref64 prefix, Pref64::Parse(message.prefix()));
  clat::DiscoveredPrefix result{
      prefix,
      message.source(),
      {},
      absl::Milliseconds(static_cast<int64_t>(message.lifetime_ms()))};
  if (message.has_router()) {
    NP_ASSIGN_OR_RETURN(result.router, Ipv6Address::Parse(message.router()));
  }
  return result;
}

service::ClatChange ToWire(const clat::Change& change) {
  service::ClatChange message;
  message.set_number(change.number);
  message.set_time_ns(absl::ToUnixNanos(change.time));
  message.set_kind(change.kind);
  message.set_interface(change.interface);
  message.set_detail(change.detail);
  return message;
}

template <typename Counters, size_t kSize>
void CountersToWire(const uint64_t (&numbers)[kSize], Counters* messages) {
  for (uint32_t i = 0; i < kSize; ++i) {
    if (numbers[i] == 0) continue;
    auto* counter = messages->Add();
    counter->set_number(i);
    counter->set_count(numbers[i]);
  }
}

// What this program has no number for was counted by a newer one.
template <typename Counters, size_t kSize>
void CountersFromWire(const Counters& messages, uint64_t (&numbers)[kSize]) {
  for (const auto& counter : messages) {
    if (counter.number() < kSize) numbers[counter.number()] = counter.count();
  }
}

service::ClatUplink ToWire(const clat::UplinkStatus& uplink) {
  service::ClatUplink message;
  message.set_interface(uplink.interface);
  message.set_ifindex(uplink.ifindex);
  message.set_origin(uplink.origin);
  message.set_off_reason(uplink.off_reason);
  message.set_detail(uplink.detail);
  for (const clat::DiscoveredPrefix& prefix : uplink.prefixes) {
    *message.add_prefixes() = ToWire(prefix);
  }
  if (!uplink.translation.has_value()) return message;
  const clat::UplinkStatus::Translation& from = *uplink.translation;
  service::ClatUplink::Translation* to = message.mutable_translation();
  to->set_prefix(from.prefix.ToString());
  to->set_source(from.source);
  to->set_local4(from.pair.ip4.ToString());
  to->set_local6(from.pair.ip6.ToString());
  for (const clat::PrefixPair& pair : from.mappings) {
    to->add_mappings(clat::ToString(pair));
  }
  if (from.router.has_value()) to->set_router(from.router->ToString());
  to->set_mtu4(from.mtu4);
  to->set_method(from.method);
  // The kernel's type for 64 bits is another one than the library's.
  uint64_t outcomes[NP_CLAT_OUTCOMES];
  uint64_t answers[NP_CLAT_ANSWERS];
  for (size_t i = 0; i < NP_CLAT_OUTCOMES; ++i) {
    outcomes[i] = from.counters.outcomes[i];
  }
  for (size_t i = 0; i < NP_CLAT_ANSWERS; ++i) {
    answers[i] = from.counters.answers[i];
  }
  CountersToWire(outcomes, to->mutable_outcomes());
  CountersToWire(answers, to->mutable_answers());
  to->set_bytes46(from.counters.bytes46);
  to->set_bytes64(from.counters.bytes64);
  return message;
}

absl::StatusOr<clat::UplinkStatus::Translation> FromWire(
    const service::ClatUplink::Translation& from) {
  NP_ASSIGN_OR_RETURN(const Pref64 prefix, Pref64::Parse(from.prefix()));
  clat::UplinkStatus::Translation to{.prefix = prefix};
  to.source = from.source();
  NP_ASSIGN_OR_RETURN(to.pair.ip4, Ipv4Address::Parse(from.local4()));
  NP_ASSIGN_OR_RETURN(to.pair.ip6, Ipv6Address::Parse(from.local6()));
  for (const std::string& text : from.mappings()) {
    NP_ASSIGN_OR_RETURN(const clat::PrefixPair pair,
                        clat::ParsePrefixPair(text));
    to.mappings.push_back(pair);
  }
  if (from.has_router()) {
    NP_ASSIGN_OR_RETURN(to.router, Ipv6Address::Parse(from.router()));
  }
  to.mtu4 = from.mtu4();
  to.method = from.method();
  uint64_t outcomes[NP_CLAT_OUTCOMES] = {};
  uint64_t answers[NP_CLAT_ANSWERS] = {};
  CountersFromWire(from.outcomes(), outcomes);
  CountersFromWire(from.answers(), answers);
  for (size_t i = 0; i < NP_CLAT_OUTCOMES; ++i) {
    to.counters.outcomes[i] = outcomes[i];
  }
  for (size_t i = 0; i < NP_CLAT_ANSWERS; ++i) {
    to.counters.answers[i] = answers[i];
  }
  to.counters.bytes46 = from.bytes46();
  to.counters.bytes64 = from.bytes64();
  return to;
}

}  // namespace

service::ClatRequest ClatToWire(service::ClatRequest::Operation operation,
                                const std::string& interface) {
  service::ClatRequest message;
  message.set_operation(operation);
  if (!interface.empty()) message.set_interface(interface);
  return message;
}

service::ClatRequest ClatStartToWire(const std::string& interface,
                                     const clat::UplinkSettings& settings) {
  service::ClatRequest message =
      ClatToWire(service::ClatRequest::OPERATION_START, interface);
  if (settings.prefix.has_value()) {
    message.set_prefix(settings.prefix->ToString());
  }
  if (settings.local4.has_value()) {
    message.set_local4(settings.local4->ToString());
  }
  if (settings.network6.has_value()) {
    message.set_network6(settings.network6->ToString());
  }
  for (const clat::PrefixPair& pair : settings.mappings) {
    message.add_mappings(clat::ToString(pair));
  }
  message.set_stops_at_native_ipv4(settings.native4 ==
                                   clat::NativeIpv4::kTurnsOff);
  return message;
}

absl::StatusOr<clat::UplinkSettings> SettingsFromWire(
    const service::ClatRequest& request) {
  clat::UplinkSettings settings;
  if (request.has_prefix()) {
    NP_ASSIGN_OR_RETURN(settings.prefix, Pref64::Parse(request.prefix()));
  }
  if (request.has_local4()) {
    NP_ASSIGN_OR_RETURN(settings.local4, Ipv4Address::Parse(request.local4()));
  }
  if (request.has_network6()) {
    NP_ASSIGN_OR_RETURN(settings.network6,
                        Ipv6Prefix::Parse(request.network6()));
  }
  for (const std::string& text : request.mappings()) {
    NP_ASSIGN_OR_RETURN(const clat::PrefixPair pair,
                        clat::ParsePrefixPair(text));
    settings.mappings.push_back(pair);
  }
  settings.native4 = request.stops_at_native_ipv4()
                         ? clat::NativeIpv4::kTurnsOff
                         : clat::NativeIpv4::kIsIgnored;
  return settings;
}

absl::StatusOr<service::ClatResponse> RunClat(
    const service::ClatRequest& request, clat::ClatInterface& clat) {
  service::ClatResponse response;
  if (!request.has_operation()) {
    return absl::InvalidArgumentError("decode clat: operation: missing");
  }
  if (request.operation() != service::ClatRequest::OPERATION_UPLINKS &&
      request.operation() != service::ClatRequest::OPERATION_CHANGES &&
      request.interface().empty()) {
    return absl::InvalidArgumentError("decode clat: interface: missing");
  }
  switch (request.operation()) {
    case service::ClatRequest::OPERATION_UPLINKS: {
      NP_ASSIGN_OR_RETURN(const auto uplinks, clat.Uplinks());
      for (const clat::UplinkStatus& uplink : uplinks) {
        *response.add_uplinks() = ToWire(uplink);
      }
      break;
    }
    case service::ClatRequest::OPERATION_START: {
      NP_ASSIGN_OR_RETURN(const auto settings, SettingsFromWire(request));
      NP_RETURN_IF_ERROR(clat.Start(request.interface(), settings));
      break;
    }
    case service::ClatRequest::OPERATION_STOP:
      NP_RETURN_IF_ERROR(clat.Stop(request.interface()));
      break;
    case service::ClatRequest::OPERATION_DISCOVER: {
      NP_ASSIGN_OR_RETURN(const auto prefixes,
                          clat.Discover(request.interface()));
      for (const clat::DiscoveredPrefix& prefix : prefixes) {
        *response.add_prefixes() = ToWire(prefix);
      }
      break;
    }
    case service::ClatRequest::OPERATION_CHANGES: {
      NP_ASSIGN_OR_RETURN(const clat::Changes changes,
                          clat.ChangesAfter(request.seen()));
      for (const clat::Change& change : changes.list) {
        *response.add_changes() = ToWire(change);
      }
      response.set_last_change(changes.last);
      break;
    }
  }
  return response;
}

absl::StatusOr<std::vector<clat::UplinkStatus>> UplinksFromWire(
    const service::ClatResponse& response) {
  std::vector<clat::UplinkStatus> uplinks;
  for (const service::ClatUplink& message : response.uplinks()) {
    clat::UplinkStatus uplink{.interface = message.interface(),
                              .ifindex = message.ifindex(),
                              .origin = message.origin()};
    uplink.off_reason = message.off_reason();
    uplink.detail = message.detail();
    for (const service::ClatPrefix& prefix : message.prefixes()) {
      NP_ASSIGN_OR_RETURN(const auto one, FromWire(prefix));
      uplink.prefixes.push_back(one);
    }
    if (message.has_translation()) {
      NP_ASSIGN_OR_RETURN(uplink.translation, FromWire(message.translation()));
    }
    uplinks.push_back(std::move(uplink));
  }
  return uplinks;
}

absl::StatusOr<std::vector<clat::DiscoveredPrefix>> PrefixesFromWire(
    const service::ClatResponse& response) {
  std::vector<clat::DiscoveredPrefix> prefixes;
  for (const service::ClatPrefix& message : response.prefixes()) {
    NP_ASSIGN_OR_RETURN(const auto one, FromWire(message));
    prefixes.push_back(one);
  }
  return prefixes;
}

clat::Changes ChangesFromWire(const service::ClatResponse& response) {
  clat::Changes changes{.list = {}, .last = response.last_change()};
  for (const service::ClatChange& message : response.changes()) {
    changes.list.push_back({.number = message.number(),
                            .time = absl::FromUnixNanos(message.time_ns()),
                            .kind = message.kind(),
                            .interface = message.interface(),
                            .detail = message.detail()});
  }
  return changes;
}

}  // namespace netpolicy
