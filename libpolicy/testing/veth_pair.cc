// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/veth_pair.h"

#include "absl/status/status.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::testing {

absl::StatusOr<VethPair> VethPair::Create(const NetNamespace& left,
                                          const NetNamespace& right,
                                          const VethOptions& options) {
  const bool is_netkit = options.kind == PairKind::kNetkit;
  NP_RETURN_IF_ERROR(
      is_netkit ? left.AddNetkit(options.left_name, right, options.right_name)
                : left.AddVeth(options.left_name, right, options.right_name));
  // From here on the destructor deletes it.
  VethPair pair(left.Share(), right.Share());
  pair.left_.name = options.left_name;
  pair.right_.name = options.right_name;
  pair.left_.v4 = options.left_v4;
  pair.left_.v6 = options.left_v6;
  pair.right_.v4 = options.right_v4;
  pair.right_.v6 = options.right_v6;
  struct Side {
    const NetNamespace& ns;
    VethEnd& end;
    VethEnd& peer;
  } sides[] = {{pair.left_ns_, pair.left_, pair.right_},
               {pair.right_ns_, pair.right_, pair.left_}};
  for (const Side& side : sides) {
    NP_ASSIGN_OR_RETURN(side.end.index, side.ns.LinkIndex(side.end.name));
    NP_ASSIGN_OR_RETURN(side.end.mac, side.ns.LinkMac(side.end.name));
    NP_RETURN_IF_ERROR(side.ns.SetMtu(side.end.name, options.mtu_bytes));
    NP_RETURN_IF_ERROR(side.ns.SetLink(side.end.name, Toggle::kOn));
  }
  for (const Side& side : sides) {
    NP_RETURN_IF_ERROR(side.ns.WaitUntilRunning(side.end.name));
    if (side.end.v4) {
      NP_RETURN_IF_ERROR(side.ns.AddAddress(side.end.name, *side.end.v4, 24));
    }
    if (side.end.v6) {
      NP_RETURN_IF_ERROR(side.ns.AddAddress(side.end.name, *side.end.v6, 64));
    }
  }
  if (is_netkit || options.neighbours == Neighbours::kDiscovered) return pair;
  for (const Side& side : sides) {
    for (const std::optional<IpAddress>& address :
         {side.peer.v4, side.peer.v6}) {
      if (!address) continue;
      NP_RETURN_IF_ERROR(
          side.ns.AddNeighbour(side.end.name, *address, side.peer.mac));
    }
  }
  return pair;
}

VethPair& VethPair::operator=(VethPair&& other) noexcept {
  std::swap(left_ns_, other.left_ns_);
  std::swap(right_ns_, other.right_ns_);
  std::swap(left_, other.left_);
  std::swap(right_, other.right_);
  return *this;
}

VethPair::~VethPair() {
  // By number, which is never given out twice: the test may have deleted it and
  // made another one of the same name.
  if (left_.index != 0) (void)left_ns_.DeleteLink(left_.index);
}

}  // namespace netpolicy::testing
