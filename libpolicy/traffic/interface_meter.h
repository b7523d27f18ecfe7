// SPDX-License-Identifier: Apache-2.0
//
// Counters of whole interfaces: all packets and bytes on the wire, whoever they
// belong to, also those that are forwarded or bridged.
//
//   InterfaceMeter meter({.pin_dir = "/sys/fs/bpf/netpolicy_interfaces"});
//   NP_RETURN_IF_ERROR(meter.Watch("wlan0").status());
//   ...
//   NP_ASSIGN_OR_RETURN(std::vector<InterfaceTraffic> watched, meter.Read());
//   NP_RETURN_IF_ERROR(meter.Unwatch("wlan0"));
//
// A watched interface is counted by pinned programs until it is unwatched or
// gone; no process has to live for it. How the programs hang there depends on
// the kernel and the interface (libpolicy/kernel/tc_link.h): by links to a
// netkit pair, by tcx links, else by clsact filters.
//
// What is counted: bytes are layer 3, super-packets (GSO, GRO) are the packets
// that they are on the wire. Received packets are counted before other programs
// of the interface change or drop them; sent ones behind those programs that
// leave the decision to the next one, and before the interface's queue, which
// may still drop them. A program of somebody else that decides for itself
// hides a packet from what comes behind it.

#ifndef NETPOLICY_LIBPOLICY_TRAFFIC_INTERFACE_METER_H_
#define NETPOLICY_LIBPOLICY_TRAFFIC_INTERFACE_METER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/kernel/tc_link.h"
#include "libpolicy/traffic/interface_traffic.h"

namespace netpolicy {

struct InterfaceMeterOptions {
  // On a bpffs; made when it is first needed. For nothing else.
  std::string pin_dir;
  PinAccess access;
};

// Works on the interfaces of the calling thread's network namespace; several
// namespaces may share a directory. Holds nothing: any number of these, also in
// several processes, may be used at a time. Needs CAP_NET_ADMIN, CAP_BPF and
// CAP_PERFMON to watch, the right to open the pins to read.
class InterfaceMeter {
 public:
  explicit InterfaceMeter(InterfaceMeterOptions options)
      : options_(std::move(options)) {}

  // Counts an interface from now on. One that is watched goes on counting, by
  // the programs of this version. Errors: kNotFound when there is none of this
  // name; kFailedPrecondition for a kind of link whose packets have a header of
  // unknown length, or a directory on no bpffs; kPermissionDenied.
  absl::StatusOr<TcMethod> Watch(const std::string& name);

  // Ends counting and forgets the counters. `name` may also be the number of an
  // interface, for one that is gone. Errors: kNotFound when it isn't watched.
  absl::Status Unwatch(const std::string& name);

  // What is watched in this namespace, by number.
  absl::StatusOr<std::vector<InterfaceTraffic>> Read() const;

 private:
  InterfaceMeterOptions options_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_TRAFFIC_INTERFACE_METER_H_
