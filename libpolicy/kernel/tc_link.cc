// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/tc_link.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/netlink.h"

namespace netpolicy {
namespace {

// Not in the headers of older systems (include/uapi/linux/bpf.h of Linux 6.7).
constexpr int kAttachTcxIngress = 46;
constexpr int kAttachTcxEgress = 47;
constexpr int kAttachNetkitPrimary = 54;
constexpr int kAttachNetkitPeer = 55;
constexpr uint32_t kFlagBefore = 1U << 3;
constexpr uint32_t kFlagAfter = 1U << 4;
constexpr uint32_t kLinkTypeTcx = 11;
constexpr uint32_t kLinkTypeNetkit = 13;

// The start of struct bpf_link_info and its part for tcx and netkit.
struct LinkInfo {
  uint32_t type;
  uint32_t id;
  uint32_t program_id;
  uint32_t pad;
  uint32_t ifindex;
  uint32_t attach_type;
  uint8_t rest[64];
};

// What bpf(BPF_LINK_CREATE) reads (union bpf_attr, link_create).
struct LinkCreate {
  uint32_t program_fd;
  uint32_t ifindex;
  uint32_t attach_type;
  uint32_t flags;
  uint32_t relative_fd;
  uint32_t pad;
  uint64_t expected_revision;
};

// Filters of ours are between these; the first free one is taken.
constexpr uint16_t kFirstPriority = 100;
constexpr uint16_t kLastPriority = 0xc100;
constexpr uint32_t kHandle = 1;

uint32_t Parent(TcHook hook) {
  return hook == TcHook::kIngress ? TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
                                  : TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
}

std::string Operation(absl::string_view verb, absl::string_view name,
                      const TcPlace& place) {
  return absl::StrCat(verb, " ", name, " at ", ToString(place));
}

tcmsg Header(const TcPlace& place) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(ToInt(place.ifindex));
  header.tcm_parent = Parent(place.hook);
  return header;
}

// Filters of all kinds: the priorities that are taken.
struct Filters {
  std::vector<TcFilter> programs;
  std::set<uint16_t> priorities;
};

absl::StatusOr<Filters> DumpFilters(NetlinkSocket& socket,
                                    const TcPlace& place) {
  const std::string operation = "list filters of " + ToString(place);
  const NetlinkRequest request(RTM_GETTFILTER, 0, Header(place));
  auto messages = socket.Dump(request, operation);
  // Without a clsact the kernel says that there is no such parent, in different
  // ways (tc_dump_tfilter() in net/sched/cls_api.c).
  if (absl::IsInternal(messages.status()) ||
      absl::IsFailedPrecondition(messages.status())) {
    return Filters{};
  }
  if (!messages.ok()) return messages.status();
  Filters filters;
  for (const NetlinkMessage& message : *messages) {
    const tcmsg header = message.Get<tcmsg>();
    if (message.type() != RTM_NEWTFILTER ||
        header.tcm_parent != Parent(place.hook)) {
      continue;
    }
    const auto priority =
        static_cast<uint16_t>(TC_H_MAJ(header.tcm_info) >> 16);
    filters.priorities.insert(priority);
    const NetlinkAttributes attributes(message.Attributes(sizeof(tcmsg)));
    if (attributes.FindText(TCA_KIND) != "bpf") continue;
    const NetlinkAttributes options = attributes.FindNested(TCA_OPTIONS);
    // A line for the priority itself comes without options.
    if (!attributes.Find(TCA_OPTIONS).has_value()) continue;
    filters.programs.push_back({priority, header.tcm_handle,
                                options.FindU32(TCA_BPF_ID).value_or(0),
                                options.FindText(TCA_BPF_NAME)});
  }
  return filters;
}

absl::Status AddClsact(NetlinkSocket& socket, const TcPlace& place) {
  const std::string operation =
      absl::StrCat("add clsact to interface ", ToInt(place.ifindex));
  tcmsg header = Header(place);
  header.tcm_parent = TC_H_CLSACT;
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  NetlinkRequest request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, header);
  request.PutText(TCA_KIND, "clsact");
  NP_ASSIGN_OR_RETURN(NetlinkOutcome outcome, socket.Ask(request, operation));
  if (outcome.error == EEXIST) return absl::OkStatus();
  return outcome.ToStatus(operation);
}

enum class Existing : uint8_t { kReplace, kRefuse };

absl::StatusOr<NetlinkOutcome> WriteFilter(NetlinkSocket& socket,
                                           const TcPlace& place,
                                           const TcProgram& program,
                                           uint16_t priority, uint32_t handle,
                                           Existing existing) {
  tcmsg header = Header(place);
  header.tcm_handle = handle;
  header.tcm_info =
      TC_H_MAKE(static_cast<uint32_t>(priority) << 16, htons(ETH_P_ALL));
  NetlinkRequest request(
      RTM_NEWTFILTER,
      NLM_F_CREATE | (existing == Existing::kRefuse ? NLM_F_EXCL : 0), header);
  request.PutText(TCA_KIND, "bpf");
  request.Nest(TCA_OPTIONS, [&] {
    request.PutU32(TCA_BPF_FD, static_cast<uint32_t>(program.fd));
    request.PutText(TCA_BPF_NAME, program.name);
    request.PutU32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
  });
  return socket.Ask(request, Operation("attach", program.name, place));
}

absl::Status DeleteFilter(NetlinkSocket& socket, const TcPlace& place,
                          const TcFilter& filter) {
  tcmsg header = Header(place);
  header.tcm_handle = filter.handle;
  header.tcm_info =
      TC_H_MAKE(static_cast<uint32_t>(filter.priority) << 16, htons(ETH_P_ALL));
  NetlinkRequest request(RTM_DELTFILTER, 0, header);
  request.PutText(TCA_KIND, "bpf");
  const std::string operation = Operation("detach", filter.name, place);
  const absl::Status status = socket.Transact(request, operation);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

// The lowest one above all others', or the highest one below: nothing when
// there is no room.
std::optional<uint16_t> FreePriority(const std::set<uint16_t>& taken,
                                     TcOrder order) {
  if (order == TcOrder::kFirst) {
    uint32_t priority = kFirstPriority;
    if (!taken.empty() && *taken.begin() <= priority) {
      priority = *taken.begin() - 1U;
    }
    if (priority == 0) return std::nullopt;
    return static_cast<uint16_t>(priority);
  }
  uint32_t priority = kLastPriority;
  if (!taken.empty() && *taken.rbegin() >= priority) {
    priority = *taken.rbegin() + 1U;
  }
  if (priority > 0xffff) return std::nullopt;
  return static_cast<uint16_t>(priority);
}

// The pinned link, when it is one of this kind at this place.
absl::StatusOr<std::optional<UniqueFd>> FindLink(TcMethod method,
                                                 const TcPlace& place,
                                                 const std::string& pin_path) {
  auto link = OpenPin(pin_path, PinKind::kLink);
  if (absl::IsNotFound(link.status())) return std::optional<UniqueFd>();
  if (!link.ok()) return link.status();
  NP_ASSIGN_OR_RETURN(TcxLinkInfo info, ReadTcxLinkInfo(link->get()));
  if (info.place == place && info.method == method) {
    return std::optional<UniqueFd>(*std::move(link));
  }
  return std::optional<UniqueFd>();
}

// Removes the name of a link that is of no use any more, which ends the link.
absl::Status UnpinIfAny(const std::string& pin_path) {
  const absl::Status status = Unpin(pin_path);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status UseProgram(const UniqueFd& link, const TcPlace& place,
                        const TcProgram& program) {
  NP_ASSIGN_OR_RETURN(TcxLinkInfo info, ReadTcxLinkInfo(link.get()));
  NP_ASSIGN_OR_RETURN(ProgramInfo wanted, ReadProgramInfo(program.fd));
  if (info.program_id == wanted.id) return absl::OkStatus();
  return UpdateLink(link.get(), program.fd, Operation("", program.name, place));
}

// With errno when it fails.
UniqueFd CreateLink(const TcPlace& place, const TcProgram& program,
                    int attach_type) {
  LinkCreate attributes{};
  attributes.program_fd = static_cast<uint32_t>(program.fd);
  attributes.ifindex = ToInt(place.ifindex);
  attributes.attach_type = static_cast<uint32_t>(attach_type);
  attributes.flags =
      program.order == TcOrder::kFirst ? kFlagBefore : kFlagAfter;
  return UniqueFd(static_cast<int>(
      syscall(__NR_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes))));
}

}  // namespace

std::string ToString(const TcPlace& place) {
  return absl::StrCat(place.hook == TcHook::kIngress ? "ingress" : "egress",
                      " of interface ", ToInt(place.ifindex));
}

absl::string_view TcMethodName(TcMethod method) {
  switch (method) {
    case TcMethod::kTcx:
      return "tcx";
    case TcMethod::kFilter:
      return "filter";
    case TcMethod::kNetkit:
      return "netkit";
  }
  return "unknown";
}

absl::StatusOr<TcMethod> AttachTc(const TcPlace& place,
                                  const TcProgram& program,
                                  const std::string& pin_path,
                                  const PinAccess& access) {
  NP_ASSIGN_OR_RETURN(std::optional<UniqueFd> link,
                      FindLink(TcMethod::kTcx, place, pin_path));
  if (link.has_value()) {
    NP_RETURN_IF_ERROR(UseProgram(*link, place, program));
    return TcMethod::kTcx;
  }
  NP_RETURN_IF_ERROR(UnpinIfAny(pin_path));
  auto created = CreateTcxLink(place, program);
  if (absl::IsFailedPrecondition(created.status())) {
    NP_RETURN_IF_ERROR(SetTcFilter(place, program));
    return TcMethod::kFilter;
  }
  if (!created.ok()) return created.status();
  NP_RETURN_IF_ERROR(Pin(created->get(), pin_path, access));
  return TcMethod::kTcx;
}

absl::Status AttachNetkit(const TcPlace& place, const TcProgram& program,
                          const std::string& pin_path,
                          const PinAccess& access) {
  NP_ASSIGN_OR_RETURN(std::optional<UniqueFd> link,
                      FindLink(TcMethod::kNetkit, place, pin_path));
  if (link.has_value()) return UseProgram(*link, place, program);
  // Where this fails, a link of the other kind must go on.
  NP_ASSIGN_OR_RETURN(UniqueFd created, CreateNetkitLink(place, program));
  NP_RETURN_IF_ERROR(UnpinIfAny(pin_path));
  return Pin(created.get(), pin_path, access);
}

absl::Status DetachTc(const TcPlace& place, absl::string_view name,
                      const std::string& pin_path) {
  // Another holder of the link must not keep it at work.
  auto link = OpenPin(pin_path, PinKind::kLink);
  if (link.ok()) {
    NP_RETURN_IF_ERROR(
        DetachLink(link->get(), absl::StrCat(name, " at ", ToString(place))));
    NP_RETURN_IF_ERROR(Unpin(pin_path));
  } else if (!absl::IsNotFound(link.status())) {
    return link.status();
  }
  return RemoveTcFilter(place, name);
}

absl::StatusOr<TcxLinkInfo> ReadTcxLinkInfo(int fd) {
  LinkInfo info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, reinterpret_cast<bpf_link_info*>(&info),
                             &size) != 0) {
    return BpfStatusFromErrno(errno, "read link info", "CAP_BPF");
  }
  if (info.type != kLinkTypeTcx && info.type != kLinkTypeNetkit) {
    return absl::FailedPreconditionError(
        absl::StrCat("read link info: a link of type ", info.type,
                     ", expected one to tcx or netkit"));
  }
  const bool is_egress = info.attach_type == kAttachTcxEgress ||
                         info.attach_type == kAttachNetkitPrimary;
  return TcxLinkInfo{
      .id = info.id,
      .program_id = info.program_id,
      .method = info.type == kLinkTypeTcx ? TcMethod::kTcx : TcMethod::kNetkit,
      .place = {IfIndex{info.ifindex},
                is_egress ? TcHook::kEgress : TcHook::kIngress}};
}

absl::StatusOr<UniqueFd> CreateTcxLink(const TcPlace& place,
                                       const TcProgram& program) {
  const std::string operation = Operation("attach", program.name, place);
  UniqueFd fd = CreateLink(
      place, program,
      place.hook == TcHook::kIngress ? kAttachTcxIngress : kAttachTcxEgress);
  if (fd.ok()) return fd;
  const int error = errno;
  // Kernels without tcx don't know the attach type, and E2BIG says that they
  // don't know the last fields either.
  if (error == EINVAL || error == EOPNOTSUPP || error == E2BIG) {
    return absl::FailedPreconditionError(
        operation + ": not supported by this kernel (tcx: Linux 6.6)");
  }
  return BpfStatusFromErrno(error, operation, "CAP_NET_ADMIN and CAP_BPF");
}

absl::StatusOr<UniqueFd> CreateNetkitLink(const TcPlace& place,
                                          const TcProgram& program) {
  const std::string operation =
      Operation("attach", program.name, place) + " (netkit)";
  UniqueFd fd =
      CreateLink(place, program,
                 place.hook == TcHook::kIngress ? kAttachNetkitPeer
                                                : kAttachNetkitPrimary);
  if (fd.ok()) return fd;
  const int error = errno;
  if (error == EINVAL || error == EOPNOTSUPP || error == E2BIG) {
    return absl::FailedPreconditionError(
        operation + ": not supported by this kernel (netkit: Linux 6.7)");
  }
  // netkit_dev_fetch() in drivers/net/netkit.c.
  if (error == ENXIO) {
    return absl::FailedPreconditionError(operation + ": not a netkit pair");
  }
  if (error == EACCES) {
    return absl::FailedPreconditionError(
        operation + ": the peer of a netkit pair, not its primary");
  }
  return BpfStatusFromErrno(error, operation, "CAP_NET_ADMIN and CAP_BPF");
}

absl::StatusOr<std::vector<TcFilter>> ListTcFilters(const TcPlace& place) {
  NP_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
  NP_ASSIGN_OR_RETURN(Filters filters, DumpFilters(socket, place));
  return std::move(filters.programs);
}

absl::Status SetTcFilter(const TcPlace& place, const TcProgram& program) {
  const std::string operation = Operation("attach", program.name, place);
  NP_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
  NP_RETURN_IF_ERROR(AddClsact(socket, place));
  // Somebody else may take the same priority at the same time.
  for (int attempt = 0; attempt < 16; ++attempt) {
    NP_ASSIGN_OR_RETURN(Filters filters, DumpFilters(socket, place));
    for (const TcFilter& filter : filters.programs) {
      if (filter.name != program.name) continue;
      NP_ASSIGN_OR_RETURN(NetlinkOutcome outcome,
                          WriteFilter(socket, place, program, filter.priority,
                                      filter.handle, Existing::kReplace));
      return outcome.ToStatus(operation);
    }
    const std::optional<uint16_t> priority =
        FreePriority(filters.priorities, program.order);
    if (!priority.has_value()) {
      return absl::FailedPreconditionError(
          operation + ": others' filters have the outermost priority");
    }
    NP_ASSIGN_OR_RETURN(NetlinkOutcome outcome,
                        WriteFilter(socket, place, program, *priority, kHandle,
                                    Existing::kRefuse));
    if (outcome.error == EEXIST) continue;
    if (outcome.error == EINVAL && place.hook == TcHook::kEgress) {
      // sch_ingress is in clsact's place and has no egress.
      outcome.error = EOPNOTSUPP;
    }
    return outcome.ToStatus(operation);
  }
  return absl::UnavailableError(operation +
                                ": others keep changing the filters");
}

absl::Status RemoveTcFilter(const TcPlace& place, absl::string_view name) {
  NP_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
  auto filters = DumpFilters(socket, place);
  if (absl::IsNotFound(filters.status())) return absl::OkStatus();
  if (!filters.ok()) return filters.status();
  for (const TcFilter& filter : filters->programs) {
    if (filter.name != name) continue;
    NP_RETURN_IF_ERROR(DeleteFilter(socket, place, filter));
  }
  return absl::OkStatus();
}

}  // namespace netpolicy
