// SPDX-License-Identifier: Apache-2.0
//
// Programs at an interface's tc hooks, by the side of other people's.
//
//   const TcPlace place{ifindex, TcHook::kEgress};
//   NP_ASSIGN_OR_RETURN(
//       TcMethod method,
//       AttachTc(place, {.fd = fd, .name = "np_clat46_eth"}, pin, access));
//   ...
//   NP_RETURN_IF_ERROR(DetachTc(place, "np_clat46_eth", pin));
//
// Where the kernel has tcx (Linux 6.6), a program hangs by a link, which is
// pinned. Elsewhere it hangs by a filter of a clsact queueing discipline, which
// holds it without a pin. Both outlive the process, and go when the interface
// goes.
//
// At a netkit pair (Linux 6.7) a program can also be at the pair itself, out of
// reach of the container that has the other end: see AttachNetkit().
//
// A packet passes the programs of tcx first, then the filters, in order, until
// one decides: a program that wants the next one to see the packet returns
// TC_ACT_UNSPEC. All functions work in the calling thread's network namespace.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_TC_LINK_H_
#define NETPOLICY_LIBPOLICY_KERNEL_TC_LINK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/pin.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {

enum class TcHook : uint8_t { kIngress, kEgress };

struct TcPlace {
  IfIndex ifindex{};
  TcHook hook = TcHook::kIngress;

  auto operator<=>(const TcPlace&) const = default;
};

// "ingress of interface 3".
std::string ToString(const TcPlace& place);

enum class TcMethod : uint8_t { kTcx, kFilter, kNetkit };
// "tcx", "filter", "netkit".
absl::string_view TcMethodName(TcMethod method);

// Where among the programs that are there: before all or behind all of them.
// Those that come later can still go before or behind.
enum class TcOrder : uint8_t { kFirst, kLast };

struct TcProgram {
  int fd = -1;
  // Tells filters of ours from others': unique among our programs of a place.
  std::string name;
  TcOrder order = TcOrder::kLast;
};

// --- Either way, whichever the kernel has ---

// Makes a program run at a place. Does nothing when it does already; when
// another program hangs there under this name or pin, replaces it, so that each
// packet meets exactly one of them. Errors: kNotFound when there is no such
// interface; kPermissionDenied (CAP_NET_ADMIN); kFailedPrecondition when the
// hook is taken by something that lets no others in.
absl::StatusOr<TcMethod> AttachTc(const TcPlace& place,
                                  const TcProgram& program,
                                  const std::string& pin_path,
                                  const PinAccess& access);

// The same at a netkit pair, seen from its primary interface: kEgress is what
// the primary sends, kIngress is what its peer sends. Both run in the sender's
// call (netkit_xmit() in drivers/net/netkit.c), with the skb's interface
// already the receiving one, and always with an Ethernet header. Errors:
// kFailedPrecondition when the kernel has no netkit, or the interface is none,
// or is the peer; else those of AttachTc().
absl::Status AttachNetkit(const TcPlace& place, const TcProgram& program,
                          const std::string& pin_path, const PinAccess& access);

// Takes away what these put there, by link or by filter, and the pin. OK
// when there is nothing of it, or no such interface any more. The clsact
// queueing discipline stays: another one may rely on it, and it costs nothing
// when it is empty.
absl::Status DetachTc(const TcPlace& place, absl::string_view name,
                      const std::string& pin_path);

// --- By a link ---

// What the kernel says of a link to tcx or netkit (struct bpf_link_info).
struct TcxLinkInfo {
  uint32_t id = 0;
  uint32_t program_id = 0;
  TcMethod method = TcMethod::kTcx;
  // Its interface's number is 0 when the interface is gone; the link then does
  // nothing.
  TcPlace place;
};

// Errors: kFailedPrecondition when it is a link of another kind.
absl::StatusOr<TcxLinkInfo> ReadTcxLinkInfo(int fd);

// Errors: kFailedPrecondition when the kernel has no tcx; kNotFound when there
// is no such interface. To change the program: UpdateLink().
absl::StatusOr<UniqueFd> CreateTcxLink(const TcPlace& place,
                                       const TcProgram& program);

// Errors: kFailedPrecondition as for AttachNetkit(); kNotFound when there is no
// such interface.
absl::StatusOr<UniqueFd> CreateNetkitLink(const TcPlace& place,
                                          const TcProgram& program);

// --- By a filter ---

// A filter that runs a BPF program.
struct TcFilter {
  uint16_t priority = 0;  // filters run from the lowest to the highest
  uint32_t handle = 0;    // tells filters of one priority apart
  uint32_t program_id = 0;
  std::string name;
};

// The filters with programs at a place, ours and others'. Errors: kNotFound
// when there is no such interface.
absl::StatusOr<std::vector<TcFilter>> ListTcFilters(const TcPlace& place);

// Makes a program run by a filter, or replaces the program of the filter that
// has its name. The filter gets a priority that nobody uses yet.
absl::Status SetTcFilter(const TcPlace& place, const TcProgram& program);

// Removes the filters of this name. OK when there are none, or there is no such
// interface any more.
absl::Status RemoveTcFilter(const TcPlace& place, absl::string_view name);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_TC_LINK_H_
