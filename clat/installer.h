// SPDX-License-Identifier: Apache-2.0
//
// Puts plans into the kernel: programs at tc, tables, addresses, routes. All of
// it stays when the process ends; the next one takes it over.
//
//   NP_ASSIGN_OR_RETURN(auto installer, Installer::Open(pin_dir, access));
//   NP_RETURN_IF_ERROR(installer->Install(plan, network));
//
// The directory of pins has:
//   np_clat_inst, np_clat_eam4, np_clat_eam6, np_clat_count, np_clat_bucket
//                       the tables (bpf_progs/maps/clat_maps.h)
//   tc_<ifindex>_egress, tc_<ifindex>_ingress
//                       links, where the kernel has tcx

#ifndef NETPOLICY_CLAT_INSTALLER_H_
#define NETPOLICY_CLAT_INSTALLER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf_progs/abi/clat.h"
#include "clat/local_sockets.h"
#include "clat/network.h"
#include "clat/translator_object.h"
#include "clat/uplink_plan.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/lock.h"
#include "libpolicy/kernel/netlink.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/kernel/tc_link.h"
#include "libpolicy/model/ids.h"

namespace netpolicy::clat {

// Where the pins are when the policy's are at the default place. A directory of
// its own, as the policy's holds nothing but the policy's.
inline constexpr char kDefaultClatPinDir[] = "/sys/fs/bpf/netpolicy-clat";

// In the network namespace of the thread that opened it. Thread-compatible.
class Installer {
 public:
  // Takes over what is pinned, or begins anew; `access` is to the tables.
  // makes the directory, but not its
  // parent. Errors: kUnavailable when another process has it open;
  // kFailedPrecondition when it is not on a bpffs, or its tables have another
  // layout.
  static absl::StatusOr<std::unique_ptr<Installer>> Open(
      const std::string& pin_dir, const PinAccess& access);

  Installer(const Installer&) = delete;
  Installer& operator=(const Installer&) = delete;

  // What is translated now. Mappings come as the tables have them.
  absl::StatusOr<std::map<IfIndex, Identity>> Installed() const;
  // The mappings of prefixes of an uplink, without the pair of addresses.
  std::vector<PrefixPair> Mappings(IfIndex ifindex) const;

  // Makes the kernel do what the plan says and nothing else; changes only what
  // differs. Its IPv6 address has been set up before (SetUpAddress6()). Ends
  // this host's TCP connections by another translation before.
  absl::Status Install(const UplinkPlan& plan, const NetworkState& network);

  // Ends translation on an interface, which may be gone, removes all that was
  // set up for it, and ends what this host does by its IPv4 address. OK when
  // there is nothing.
  absl::Status Remove(IfIndex ifindex, const NetworkState& network);

  // The address that packets will be translated to and from: adds it, unless it
  // is there.
  absl::Status SetUpAddress6(const UplinkPlan& plan,
                             const NetworkState& network);
  absl::Status RemoveAddress6(IfIndex ifindex, const Ipv6Address& address);

  // What Install() and Remove() have ended since the last call.
  EndedSockets TakeEnded() { return sockets_.TakeEnded(); }

  // How the programs of an uplink that translates hang there.
  TcMethod Method(IfIndex ifindex) const;

  absl::StatusOr<np_clat_counters> ReadCounters(IfIndex ifindex) const;

  // Removes the pins of the tables, and the directory. To be called when
  // nothing is installed any more, as the last thing.
  absl::Status RemovePins();

  NetlinkSocket& netlink() { return netlink_; }

 private:
  Installer(std::string pin_dir, UniqueFd directory, DirectoryLock lock,
            NetlinkSocket netlink, LocalSockets sockets,
            TranslatorObject translator)
      : pin_dir_(std::move(pin_dir)),
        directory_(std::move(directory)),
        lock_(std::move(lock)),
        netlink_(std::move(netlink)),
        sockets_(std::move(sockets)),
        translator_(std::move(translator)) {}

  std::string LinkPin(const TcPlace& place) const;
  absl::Status WriteInstance(const UplinkPlan& plan);
  absl::Status AttachPrograms(const UplinkPlan& plan);
  absl::Status SetRoute(const DefaultRoute4& route,
                        const NetworkState& network);

  const std::string pin_dir_;
  UniqueFd directory_;
  DirectoryLock lock_;
  NetlinkSocket netlink_;
  LocalSockets sockets_;
  TranslatorObject translator_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_INSTALLER_H_
