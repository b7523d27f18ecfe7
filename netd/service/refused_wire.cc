// SPDX-License-Identifier: Apache-2.0

#include "netd/service/refused_wire.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy {
namespace {

service::RefusedResponse::Peer ToWire(const RefusedPeer& peer) {
  service::RefusedResponse::Peer message;
  message.set_direction(static_cast<uint32_t>(peer.direction));
  message.set_remote(peer.remote.data(), peer.remote.size());
  message.set_protocol(peer.protocol);
  message.set_remote_port(peer.remote_port);
  message.set_reasons(peer.reasons.bits());
  for (const ExplainedReason& reason : peer.explained) {
    service::RefusedResponse::Reason& added = *message.add_explained();
    added.set_number(static_cast<uint32_t>(reason.number));
    added.set_name(reason.name);
    added.set_detail(reason.detail);
  }
  message.set_count(peer.count);
  message.set_last_ns(absl::ToUnixNanos(peer.last));
  return message;
}

absl::Status Wrong(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("decode refused: ", field, ": ", cause));
}

absl::StatusOr<Direction> DirectionFromWire(absl::string_view field,
                                            uint32_t number) {
  if (number > static_cast<uint32_t>(Direction::kBind)) {
    return Wrong(field, absl::StrCat(number, " is no direction"));
  }
  return static_cast<Direction>(number);
}

absl::StatusOr<RefusedPeer> FromWire(
    const service::RefusedResponse::Peer& message) {
  RefusedPeer peer;
  NP_ASSIGN_OR_RETURN(peer.direction,
                      DirectionFromWire("peer.direction", message.direction()));
  if (message.remote().size() != peer.remote.size()) {
    return Wrong("peer.remote", absl::StrCat(message.remote().size(),
                                             " bytes are no address"));
  }
  std::copy(message.remote().begin(), message.remote().end(),
            peer.remote.begin());
  if (message.protocol() > 0xff) {
    return Wrong("peer.protocol",
                 absl::StrCat(message.protocol(), " is no protocol"));
  }
  peer.protocol = static_cast<uint8_t>(message.protocol());
  if (message.remote_port() > 0xffff) {
    return Wrong("peer.remote_port",
                 absl::StrCat(message.remote_port(), " is no port"));
  }
  peer.remote_port = static_cast<uint16_t>(message.remote_port());
  peer.reasons = ReasonSet(message.reasons());
  for (const service::RefusedResponse::Reason& reason : message.explained()) {
    peer.explained.push_back({.number = static_cast<int>(reason.number()),
                              .name = reason.name(),
                              .detail = reason.detail()});
  }
  peer.count = message.count();
  peer.last = absl::FromUnixNanos(message.last_ns());
  return peer;
}

}  // namespace

service::RefusedRequest RefusedToWire(Uid uid, uint32_t max_peers) {
  service::RefusedRequest message;
  message.set_uid(ToInt(uid));
  message.set_max_peers(max_peers);
  return message;
}

absl::StatusOr<service::RefusedResponse> RunRefused(
    const service::RefusedRequest& request, PolicyInterface& policy) {
  if (!request.has_uid()) return Wrong("uid", "missing");
  if (!request.has_max_peers()) return Wrong("max_peers", "missing");
  NP_ASSIGN_OR_RETURN(const Refusals refusals,
                      policy.Refused(Uid{request.uid()}, request.max_peers()));
  service::RefusedResponse response;
  response.set_generation(ToInt(refusals.generation));
  response.set_uid(ToInt(refusals.uid));
  for (const DropRow& row : refusals.drops) {
    service::RefusedResponse::Drop& drop = *response.add_drops();
    drop.set_direction(static_cast<uint32_t>(row.direction));
    drop.set_reasons(row.reasons.bits());
    for (const std::string& name : row.reason_names) {
      drop.add_reason_names(name);
    }
    drop.set_packets(row.packets);
    drop.set_bytes(row.bytes);
  }
  for (const RefusedPeer& peer : refusals.peers) {
    *response.add_peers() = ToWire(peer);
  }
  return response;
}

absl::StatusOr<Refusals> FromWire(const service::RefusedResponse& response) {
  Refusals refusals;
  refusals.generation = Generation{response.generation()};
  refusals.uid = Uid{response.uid()};
  for (const service::RefusedResponse::Drop& drop : response.drops()) {
    DropRow row;
    row.uid = refusals.uid;
    NP_ASSIGN_OR_RETURN(row.direction,
                        DirectionFromWire("drop.direction", drop.direction()));
    row.reasons = ReasonSet(drop.reasons());
    row.reason_names.assign(drop.reason_names().begin(),
                            drop.reason_names().end());
    row.packets = drop.packets();
    row.bytes = drop.bytes();
    refusals.drops.push_back(std::move(row));
  }
  for (const service::RefusedResponse::Peer& message : response.peers()) {
    NP_ASSIGN_OR_RETURN(RefusedPeer peer, FromWire(message));
    refusals.peers.push_back(std::move(peer));
  }
  return refusals;
}

}  // namespace netpolicy
