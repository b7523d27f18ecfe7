// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/traffic/interface_meter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "bpf_progs/abi/traffic.h"
#include "bpf_progs/traffic.skel.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/libbpf_log.h"
#include "libpolicy/kernel/lock.h"
#include "libpolicy/kernel/map.h"
#include "libpolicy/model/ids.h"

namespace netpolicy {
namespace {

constexpr char kCounters[] = "counters";
constexpr absl::Duration kLockTimeout = absl::Seconds(10);

// A hook, the program at it, and the pin of the program's link.
struct Hook {
  TcHook hook;
  const char* program;
  const char* pin;
  TcOrder order;
};
constexpr std::array<Hook, 2> kHooks = {{
    {TcHook::kIngress, "np_if_ingress", "ingress", TcOrder::kFirst},
    {TcHook::kEgress, "np_if_egress", "egress", TcOrder::kLast},
}};

struct Destroy {
  void operator()(traffic_bpf* skeleton) const {
    traffic_bpf::destroy(skeleton);
  }
};
using Skeleton = std::unique_ptr<traffic_bpf, Destroy>;

// Interfaces' numbers are a namespace's own, so that pins are named by both:
// NAMESPACE_IFINDEX. The kernel never gives a number out twice.
struct Subject {
  uint64_t netns = 0;
  IfIndex ifindex{};

  std::string DirectoryName() const {
    return absl::StrCat(netns, "_", ToInt(ifindex));
  }
};

absl::optional<Subject> ParseDirectoryName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '_');
  Subject subject;
  uint32_t ifindex = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &subject.netns) ||
      !absl::SimpleAtoi(parts[1], &ifindex)) {
    return absl::nullopt;
  }
  subject.ifindex = IfIndex{ifindex};
  return subject;
}

absl::StatusOr<uint64_t> OwnNetns() {
  struct stat status {};
  if (stat("/proc/thread-self/ns/net", &status) != 0) {
    return StatusFromErrno(errno, "find own network namespace");
  }
  return status.st_ino;
}

std::string NameOf(IfIndex ifindex) {
  char name[IF_NAMESIZE] = {};
  return if_indextoname(ToInt(ifindex), name) == nullptr ? "" : name;
}

// Of the header before the network header in the skbs of an interface.
absl::StatusOr<uint32_t> LinkHeaderBytes(const std::string& name,
                                         const std::string& operation) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name.c_str());
  if (ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0) {
    return StatusFromErrno(errno, operation);
  }
  switch (request.ifr_hwaddr.sa_family) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return 14;
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
    case ARPHRD_PPP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
      return 0;
    default:
      return absl::FailedPreconditionError(absl::StrCat(
          operation, ": links of type ", request.ifr_hwaddr.sa_family,
          " (linux/if_arp.h) are not supported"));
  }
}

// Loads the programs, over the counters in `directory` if there are any; pins
// the counters if not.
absl::StatusOr<Skeleton> Load(uint32_t link_header_bytes,
                              const std::string& directory,
                              const PinAccess& access) {
  const LibbpfLog log;
  Skeleton skeleton(traffic_bpf::open());
  if (skeleton == nullptr) {
    return StatusFromErrno(errno, "open programs for interfaces",
                           log.LastWarning());
  }
  skeleton->rodata->np_link_header_bytes = link_header_bytes;
  const std::string pin = absl::StrCat(directory, "/", kCounters);
  auto counters = OpenPin(pin, PinKind::kMap);
  if (counters.ok()) {
    // Of another version's layout they would be misread.
    NP_RETURN_IF_ERROR(
        (PerCpuMap<uint32_t, np_traffic>::Open(UniqueFd(dup(counters->get())))
             .status()));
    const int error =
        bpf_map__reuse_fd(skeleton->maps.np_traffic, counters->get());
    if (error != 0) return StatusFromErrno(-error, "adopt map np_traffic");
  } else if (!absl::IsNotFound(counters.status())) {
    return counters.status();
  }
  const int error = -traffic_bpf::load(skeleton.get());
  if (error == EPERM) {
    return BpfStatusFromErrno(error, "load programs for interfaces",
                              "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
  }
  if (error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("load programs for interfaces: ", ErrnoText(error), " (",
                     log.LastWarning(), ")"));
  }
  if (!counters.ok()) {
    NP_RETURN_IF_ERROR(
        Pin(bpf_map__fd(skeleton->maps.np_traffic), pin, access));
  }
  return skeleton;
}

absl::StatusOr<TcMethod> Attach(const Skeleton& skeleton, const Hook& hook,
                                IfIndex ifindex, const std::string& directory,
                                const PinAccess& access) {
  const TcPlace place{ifindex, hook.hook};
  const bpf_program* loaded =
      bpf_object__find_program_by_name(skeleton->obj, hook.program);
  const TcProgram program{
      .fd = bpf_program__fd(loaded), .name = hook.program, .order = hook.order};
  const std::string pin = absl::StrCat(directory, "/", hook.pin);
  const absl::Status netkit = AttachNetkit(place, program, pin, access);
  if (netkit.ok()) return TcMethod::kNetkit;
  if (!absl::IsFailedPrecondition(netkit)) return netkit;
  return AttachTc(place, program, pin, access);
}

absl::Status Remove(IfIndex ifindex, const std::string& directory) {
  for (const Hook& hook : kHooks) {
    NP_RETURN_IF_ERROR(DetachTc({ifindex, hook.hook}, hook.program,
                                absl::StrCat(directory, "/", hook.pin)));
  }
  NP_RETURN_IF_ERROR(Unpin(absl::StrCat(directory, "/", kCounters)));
  if (rmdir(directory.c_str()) != 0 && errno != ENOENT) {
    return StatusFromErrno(errno, absl::StrCat("remove directory ", directory));
  }
  return absl::OkStatus();
}

// How our program hangs at a place; unset: it does not.
absl::StatusOr<absl::optional<TcMethod>> FindMethod(
    const TcPlace& place, const Hook& hook, const std::string& directory) {
  auto link = OpenPin(absl::StrCat(directory, "/", hook.pin), PinKind::kLink);
  if (link.ok()) {
    NP_ASSIGN_OR_RETURN(const TcxLinkInfo info, ReadTcxLinkInfo(link->get()));
    if (info.place != place) return absl::optional<TcMethod>();
    return absl::optional<TcMethod>(info.method);
  }
  if (!absl::IsNotFound(link.status())) return link.status();
  NP_ASSIGN_OR_RETURN(const std::vector<TcFilter> filters,
                      ListTcFilters(place));
  const bool is_there = std::any_of(
      filters.begin(), filters.end(),
      [&](const TcFilter& filter) { return filter.name == hook.program; });
  if (!is_there) return absl::optional<TcMethod>();
  return absl::optional<TcMethod>(TcMethod::kFilter);
}

void Add(np_traffic& sum, const np_traffic& one) {
  for (int i = 0; i < NP_DIRECTIONS; ++i) {
    sum.direction[i].skbs += one.direction[i].skbs;
    sum.direction[i].skb_bytes += one.direction[i].skb_bytes;
    sum.direction[i].extra_packets += one.direction[i].extra_packets;
    sum.direction[i].extra_bytes += one.direction[i].extra_bytes;
  }
  sum.unparsable += one.unparsable;
}

TrafficCounters ToTraffic(const np_direction_counters& counters) {
  return TrafficCounters{.packets = counters.skbs + counters.extra_packets,
                         .bytes = counters.skb_bytes + counters.extra_bytes,
                         .skbs = counters.skbs,
                         .skb_bytes = counters.skb_bytes};
}

absl::StatusOr<InterfaceTraffic> ReadOne(IfIndex ifindex,
                                         const std::string& directory) {
  NP_ASSIGN_OR_RETURN(
      UniqueFd fd,
      OpenPin(absl::StrCat(directory, "/", kCounters), PinKind::kMap));
  NP_ASSIGN_OR_RETURN(auto map,
                      (PerCpuMap<uint32_t, np_traffic>::Open(std::move(fd))));
  NP_ASSIGN_OR_RETURN(const absl::optional<np_traffic> sum, map.Sum(0, Add));
  InterfaceTraffic traffic;
  traffic.ifindex = ifindex;
  traffic.name = NameOf(ifindex);
  if (sum.has_value()) {
    traffic.rx = ToTraffic(sum->direction[NP_INGRESS]);
    traffic.tx = ToTraffic(sum->direction[NP_EGRESS]);
    traffic.unparsable = sum->unparsable;
  }
  if (traffic.name.empty()) return traffic;
  absl::optional<TcMethod> methods[kHooks.size()];
  for (size_t i = 0; i < kHooks.size(); ++i) {
    auto method = FindMethod({ifindex, kHooks[i].hook}, kHooks[i], directory);
    // It went while we looked.
    if (absl::IsNotFound(method.status())) continue;
    if (!method.ok()) return method.status();
    methods[i] = *method;
  }
  // Half is not watched.
  if (methods[0] == methods[1]) traffic.method = methods[0];
  return traffic;
}

}  // namespace

absl::StatusOr<TcMethod> InterfaceMeter::Watch(const std::string& name) {
  const std::string operation = absl::StrCat("watch interface ", name);
  const IfIndex ifindex{if_nametoindex(name.c_str())};
  if (ToInt(ifindex) == 0) {
    return absl::NotFoundError(operation + ": no such interface");
  }
  NP_ASSIGN_OR_RETURN(const uint32_t header_bytes,
                      LinkHeaderBytes(name, operation));
  NP_ASSIGN_OR_RETURN(const uint64_t netns, OwnNetns());
  NP_RETURN_IF_ERROR(MakePinDirectory(options_.pin_dir, options_.access));
  NP_ASSIGN_OR_RETURN(const UniqueFd all, OpenPinDirectory(options_.pin_dir));
  NP_ASSIGN_OR_RETURN(
      const DirectoryLock lock,
      DirectoryLock::Acquire(all.get(), options_.pin_dir,
                             DirectoryLock::Kind::kExclusive, kLockTimeout));
  const std::string directory = absl::StrCat(
      options_.pin_dir, "/", Subject{netns, ifindex}.DirectoryName());
  const bool is_new = access(directory.c_str(), F_OK) != 0;
  NP_RETURN_IF_ERROR(MakePinDirectory(directory, options_.access));

  const auto attach_all = [&]() -> absl::StatusOr<TcMethod> {
    NP_ASSIGN_OR_RETURN(const Skeleton skeleton,
                        Load(header_bytes, directory, options_.access));
    TcMethod method = TcMethod::kTcx;
    for (const Hook& hook : kHooks) {
      NP_ASSIGN_OR_RETURN(
          method, Attach(skeleton, hook, ifindex, directory, options_.access));
    }
    return method;
  };
  absl::StatusOr<TcMethod> method = attach_all();
  // The first error is the one to tell.
  if (!method.ok() && is_new) Remove(ifindex, directory).IgnoreError();
  return method;
}

absl::Status InterfaceMeter::Unwatch(const std::string& name) {
  const std::string operation = absl::StrCat("unwatch interface ", name);
  uint32_t number = if_nametoindex(name.c_str());
  if (number == 0 && !absl::SimpleAtoi(name, &number)) {
    return absl::NotFoundError(operation + ": no such interface");
  }
  const IfIndex ifindex{number};
  NP_ASSIGN_OR_RETURN(const uint64_t netns, OwnNetns());
  const std::string directory = absl::StrCat(
      options_.pin_dir, "/", Subject{netns, ifindex}.DirectoryName());
  if (access(directory.c_str(), F_OK) != 0) {
    return absl::NotFoundError(operation + ": it is not watched");
  }
  NP_ASSIGN_OR_RETURN(const UniqueFd all, OpenPinDirectory(options_.pin_dir));
  NP_ASSIGN_OR_RETURN(
      const DirectoryLock lock,
      DirectoryLock::Acquire(all.get(), options_.pin_dir,
                             DirectoryLock::Kind::kExclusive, kLockTimeout));
  return Remove(ifindex, directory);
}

absl::StatusOr<std::vector<InterfaceTraffic>> InterfaceMeter::Read() const {
  std::vector<InterfaceTraffic> watched;
  NP_ASSIGN_OR_RETURN(const uint64_t netns, OwnNetns());
  auto names = ListPins(options_.pin_dir);
  if (absl::IsNotFound(names.status())) return watched;
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const absl::optional<Subject> subject = ParseDirectoryName(name);
    if (!subject.has_value() || subject->netns != netns) continue;
    auto one =
        ReadOne(subject->ifindex, absl::StrCat(options_.pin_dir, "/", name));
    // Unwatched while we looked, or not yet watched.
    if (absl::IsNotFound(one.status())) continue;
    if (!one.ok()) return one.status();
    watched.push_back(*std::move(one));
  }
  std::sort(watched.begin(), watched.end(),
            [](const InterfaceTraffic& a, const InterfaceTraffic& b) {
              return ToInt(a.ifindex) < ToInt(b.ifindex);
            });
  return watched;
}

}  // namespace netpolicy
