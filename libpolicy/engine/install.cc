// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/engine/install.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/control.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/committer.h"
#include "libpolicy/engine/pins.h"
#include "libpolicy/engine/policy_object.h"
#include "libpolicy/engine/quota_tables.h"
#include "libpolicy/engine/table_writer.h"
#include "libpolicy/kernel/capability.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/link.h"
#include "libpolicy/kernel/mapped_array.h"
#include "libpolicy/kernel/pin.h"

namespace netpolicy {
namespace {

enum class Found : uint8_t { kNothing, kHalfMade, kReady };

// What there is in the pin directory, by np_control. Errors:
// kFailedPrecondition when it is something that we do not understand.
absl::StatusOr<Found> LookForTables(const PinDirectory& pins) {
  absl::StatusOr<UniqueFd> fd =
      OpenPin(pins.MapPin("np_control"), PinKind::kMap);
  if (absl::IsNotFound(fd.status())) return Found::kNothing;
  if (!fd.ok()) return fd.status();
  NP_ASSIGN_OR_RETURN(RawMap map, RawMap::Open(*std::move(fd)));
  const std::string operation = absl::StrCat("adopt pins in ", pins.path());

  // Another version's struct may have another size, but begins the same.
  constexpr size_t kVersionBytes = offsetof(np_control, active);
  std::vector<char> bytes(std::max(map.lookup_size(), sizeof(np_control)));
  const uint32_t key = 0;
  if (map.info().key_size != sizeof(key) || map.lookup_size() < kVersionBytes) {
    return absl::FailedPreconditionError(operation +
                                         ": np_control is not ours");
  }
  NP_RETURN_IF_ERROR(
      map.Lookup(&key, bytes.data(), [] { return std::string("0"); }).status());
  np_control control;
  std::memcpy(&control, bytes.data(), sizeof(control));
  if (control.magic == 0) return Found::kHalfMade;
  if (control.magic != NP_ABI_MAGIC) {
    return absl::FailedPreconditionError(operation +
                                         ": np_control is not ours");
  }
  if (control.abi_major != NP_ABI_MAJOR) {
    return absl::FailedPreconditionError(absl::StrCat(
        operation, ": table layout ", control.abi_major, ".", control.abi_minor,
        " is ", control.abi_major > NP_ABI_MAJOR ? "newer" : "older", " than ",
        NP_ABI_MAJOR, ".", NP_ABI_MINOR));
  }
  return control.ready == 1 ? Found::kReady : Found::kHalfMade;
}

// Those for whole UIDs come first, so that the rows in use are the first ones
// but for a few.
absl::Status FillFreeRows(const Tables& tables) {
  uint32_t row = NP_OVERFLOW_ROW + 1;
  for (const RawMap* free : {&tables.free_uid_rows, &tables.free_rows}) {
    std::vector<np_row> rows;
    for (uint32_t i = 0; i < free->info().max_entries; ++i) {
      rows.push_back({.row = row++});
    }
    size_t done = 0;
    NP_RETURN_IF_ERROR(
        free->UpdateBatch(nullptr, rows.data(), rows.size(), done));
  }
  return absl::OkStatus();
}

uint32_t RowsPerUid(const EngineOptions& options) {
  if (options.max_rows_per_uid != 0) return options.max_rows_per_uid;
  return std::max(1u, options.max_rows / 4);
}

// Names of interfaces are meant in the network namespace of this thread.
absl::Status StoreNetworkNamespace(const Tables& tables) {
  const char* const path = "/proc/thread-self/ns/net";
  struct stat status;
  if (stat(path, &status) != 0) {
    return StatusFromErrno(errno, absl::StrCat("look at ", path));
  }
  // The numbers of nsfs are 32 bits wide (struct ns_common).
  tables.control_entry().netns = static_cast<uint32_t>(status.st_ino);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<InstalledProgram>> AttachFresh(
    const PolicyObject& object, const PinDirectory& pins,
    const Cgroup& cgroup) {
  std::vector<InstalledProgram> programs;
  for (const AttachedProgram& each : kPrograms) {
    InstalledProgram program;
    program.name = std::string(each.name);
    NP_ASSIGN_OR_RETURN(program.program, object.ProgramFd(each.name));
    NP_RETURN_IF_ERROR(
        pins.Pin(program.program.get(), pins.ProgramPin(each.name)));
    programs.push_back(std::move(program));
  }
  for (size_t i = 0; i < programs.size(); ++i) {
    NP_ASSIGN_OR_RETURN(
        programs[i].link,
        CreateCgroupLink(programs[i].program.get(), cgroup.fd.get(),
                         kPrograms[i].attach_type, kPrograms[i].name));
    NP_RETURN_IF_ERROR(
        pins.Pin(programs[i].link.get(), pins.LinkPin(kPrograms[i].name)));
  }
  return programs;
}

absl::Status LoadFresh(const EngineOptions& options, const PinDirectory& pins,
                       Installation& installation) {
  NP_ASSIGN_OR_RETURN(PolicyObject object, PolicyObject::Open());
  NP_RETURN_IF_ERROR(object.SetSizes(options));
  NP_RETURN_IF_ERROR(object.Load(options.max_uids * 2));
  NP_ASSIGN_OR_RETURN(Tables opened,
                      Tables::Open([&object](absl::string_view name) {
                        return object.TableFd(name);
                      }));
  installation.tables = std::make_unique<Tables>(std::move(opened));
  const Tables& tables = *installation.tables;

  NP_RETURN_IF_ERROR(FillFreeRows(tables));
  NP_ASSIGN_OR_RETURN(auto writer, MakeKernelTableWriter(tables));
  Committer committer(tables, std::move(writer));
  NP_RETURN_IF_ERROR(committer.Initialize(options.initial_policy));
  // No socket has a verdict yet.
  const auto outdate = [] { return absl::OkStatus(); };
  NP_ASSIGN_OR_RETURN(installation.report.quotas_restored,
                      QuotaTables(tables, committer.writer(), outdate)
                          .Restore(options.initial_quotas));

  tables.control_entry().rows_per_uid = RowsPerUid(options);

  const std::vector<const RawMap*> maps = tables.All();
  for (size_t i = 0; i < maps.size(); ++i) {
    NP_RETURN_IF_ERROR(pins.Pin(maps[i]->fd(), pins.MapPin(kTableNames[i])));
  }
  NP_ASSIGN_OR_RETURN(installation.programs,
                      AttachFresh(object, pins, installation.cgroup));
  NP_RETURN_IF_ERROR(StoreNetworkNamespace(tables));
  StoreRelease(tables.control_entry().ready, 1);
  return absl::OkStatus();
}

// A link as it was found.
struct FoundLink {
  UniqueFd fd;  // none: there is no link, or its cgroup is gone
  uint32_t program_id = 0;
};

absl::StatusOr<FoundLink> FindLink(const PinDirectory& pins,
                                   const AttachedProgram& program,
                                   const Cgroup& cgroup) {
  FoundLink found;
  absl::StatusOr<UniqueFd> fd =
      OpenPin(pins.LinkPin(program.name), PinKind::kLink);
  if (absl::IsNotFound(fd.status())) return found;
  if (!fd.ok()) return fd.status();
  NP_ASSIGN_OR_RETURN(const CgroupLinkInfo info, ReadCgroupLinkInfo(fd->get()));
  const std::string operation =
      absl::StrCat("adopt pins in ", pins.path(), ": ", program.name);
  if (info.attach_type != program.attach_type) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, " is attached as type ", info.attach_type,
                     ", not ", program.attach_type));
  }
  if (info.cgroup_id == 0) return found;
  if (info.cgroup_id != cgroup.id) {
    return absl::FailedPreconditionError(absl::StrCat(
        operation, " is attached to ", CgroupName(cgroup.path, info.cgroup_id),
        ", not to ", cgroup.path));
  }
  found.fd = *std::move(fd);
  found.program_id = info.program_id;
  return found;
}

std::set<uint32_t> TablesUsedBy(const ProgramInfo& program,
                                const Tables& tables) {
  std::set<uint32_t> used;
  for (const RawMap* map : tables.All()) {
    const auto& ids = program.map_ids;
    if (std::find(ids.begin(), ids.end(), map->info().id) != ids.end()) {
      used.insert(map->info().id);
    }
  }
  return used;
}

// The pinned program, if it is the one in the link and does what ours does to
// the same tables.
absl::StatusOr<UniqueFd> FindSameProgram(const PinDirectory& pins,
                                         absl::string_view name,
                                         uint32_t linked_id, int ours,
                                         const Tables& tables) {
  absl::StatusOr<UniqueFd> pinned =
      OpenPin(pins.ProgramPin(name), PinKind::kProgram);
  if (absl::IsNotFound(pinned.status())) return UniqueFd();
  if (!pinned.ok()) return pinned;
  NP_ASSIGN_OR_RETURN(const ProgramInfo old, ReadProgramInfo(pinned->get()));
  NP_ASSIGN_OR_RETURN(const ProgramInfo fresh, ReadProgramInfo(ours));
  if (old.id != linked_id || old.tag != fresh.tag ||
      TablesUsedBy(old, tables) != TablesUsedBy(fresh, tables)) {
    return UniqueFd();
  }
  return pinned;
}

absl::Status AdoptPrograms(const PolicyObject& object, const PinDirectory& pins,
                           std::vector<FoundLink> links,
                           Installation& installation) {
  OpenReport& report = installation.report;
  for (size_t i = 0; i < kPrograms.size(); ++i) {
    const absl::string_view name = kPrograms[i].name;
    InstalledProgram program;
    program.name = std::string(name);
    NP_ASSIGN_OR_RETURN(program.program, object.ProgramFd(name));
    if (links[i].fd.ok()) {
      program.link = std::move(links[i].fd);
      NP_ASSIGN_OR_RETURN(
          UniqueFd same,
          FindSameProgram(pins, name, links[i].program_id,
                          program.program.get(), *installation.tables));
      if (same.ok()) {
        program.program = std::move(same);
        ++report.programs_kept;
      } else {
        NP_RETURN_IF_ERROR(
            UpdateLink(program.link.get(), program.program.get(), name));
        NP_RETURN_IF_ERROR(
            pins.Replace(program.program.get(), pins.ProgramPin(name)));
        ++report.programs_replaced;
      }
    } else {
      NP_RETURN_IF_ERROR(
          pins.Replace(program.program.get(), pins.ProgramPin(name)));
      NP_ASSIGN_OR_RETURN(
          program.link,
          CreateCgroupLink(program.program.get(), installation.cgroup.fd.get(),
                           kPrograms[i].attach_type, name));
      NP_RETURN_IF_ERROR(pins.Replace(program.link.get(), pins.LinkPin(name)));
      ++report.links_created;
    }
    installation.programs.push_back(std::move(program));
  }
  return absl::OkStatus();
}

// No descriptor when there is no such pin.
absl::StatusOr<UniqueFd> OpenPinIfAny(const std::string& path, PinKind kind) {
  absl::StatusOr<UniqueFd> fd = OpenPin(path, kind);
  if (absl::IsNotFound(fd.status())) return UniqueFd();
  return fd;
}

// The cgroup that the first link found is attached to; none is no error.
absl::StatusOr<Cgroup> FindLinkedCgroup(const PinDirectory& pins) {
  Cgroup cgroup;
  for (const AttachedProgram& program : kPrograms) {
    NP_ASSIGN_OR_RETURN(
        const UniqueFd link,
        OpenPinIfAny(pins.LinkPin(program.name), PinKind::kLink));
    if (!link.ok()) continue;
    NP_ASSIGN_OR_RETURN(const CgroupLinkInfo info,
                        ReadCgroupLinkInfo(link.get()));
    if (info.cgroup_id == 0) continue;
    NP_ASSIGN_OR_RETURN(const std::string mount, FindCgroup2Mount());
    cgroup.path = CgroupName(mount, info.cgroup_id);
    cgroup.id = info.cgroup_id;
    break;
  }
  return cgroup;
}

absl::Status OpenTables(const PinDirectory& pins, Installation& installation) {
  NP_ASSIGN_OR_RETURN(Tables opened,
                      Tables::Open([&pins](absl::string_view name) {
                        return OpenPin(pins.MapPin(name), PinKind::kMap);
                      }));
  installation.tables = std::make_unique<Tables>(std::move(opened));
  return absl::OkStatus();
}

absl::Status CompleteCommit(Installation& installation) {
  NP_ASSIGN_OR_RETURN(auto writer, MakeKernelTableWriter(*installation.tables));
  NP_ASSIGN_OR_RETURN(
      installation.report.commit_completed,
      Committer(*installation.tables, std::move(writer)).Recover());
  return absl::OkStatus();
}

// Pins the tables that an older version does not have, empty: to its programs
// they mean nothing, and to ours that there is nothing in them.
absl::Status MakeLaterTables(const PolicyObject& object,
                             const PinDirectory& pins) {
  for (const absl::string_view name : kLaterTables) {
    NP_ASSIGN_OR_RETURN(const UniqueFd found,
                        OpenPinIfAny(pins.MapPin(name), PinKind::kMap));
    if (found.ok()) continue;
    NP_ASSIGN_OR_RETURN(const UniqueFd made, object.MakeTable(name));
    NP_RETURN_IF_ERROR(pins.Pin(made.get(), pins.MapPin(name)));
  }
  return absl::OkStatus();
}

// OpenMode::kAdoptOnly.
absl::Status AdoptAsFound(const PinDirectory& pins,
                          Installation& installation) {
  NP_ASSIGN_OR_RETURN(const PolicyObject object, PolicyObject::Open());
  NP_RETURN_IF_ERROR(MakeLaterTables(object, pins));
  NP_RETURN_IF_ERROR(OpenTables(pins, installation));
  if (!installation.cgroup.fd.ok()) {
    NP_ASSIGN_OR_RETURN(installation.cgroup, FindLinkedCgroup(pins));
  }
  for (const AttachedProgram& each : kPrograms) {
    InstalledProgram program;
    program.name = std::string(each.name);
    NP_ASSIGN_OR_RETURN(
        program.program,
        OpenPinIfAny(pins.ProgramPin(each.name), PinKind::kProgram));
    NP_ASSIGN_OR_RETURN(FoundLink link,
                        FindLink(pins, each, installation.cgroup));
    program.link = std::move(link.fd);
    ++installation.report.programs_kept;
    installation.programs.push_back(std::move(program));
  }
  return CompleteCommit(installation);
}

absl::Status Adopt(PinDirectory& pins, Installation& installation) {
  // Look at everything before anything is changed.
  NP_ASSIGN_OR_RETURN(PolicyObject object, PolicyObject::Open());
  NP_RETURN_IF_ERROR(MakeLaterTables(object, pins));
  NP_RETURN_IF_ERROR(OpenTables(pins, installation));
  const Tables& tables = *installation.tables;
  std::vector<FoundLink> links;
  for (const AttachedProgram& program : kPrograms) {
    NP_ASSIGN_OR_RETURN(FoundLink link,
                        FindLink(pins, program, installation.cgroup));
    links.push_back(std::move(link));
  }

  const std::vector<const RawMap*> maps = tables.All();
  for (size_t i = 0; i < maps.size(); ++i) {
    NP_RETURN_IF_ERROR(object.AdoptTable(kTableNames[i], *maps[i]));
  }
  NP_RETURN_IF_ERROR(object.Load(tables.slot_size()));

  NP_RETURN_IF_ERROR(pins.Prepare());
  NP_RETURN_IF_ERROR(StoreNetworkNamespace(tables));
  NP_RETURN_IF_ERROR(CompleteCommit(installation));
  return AdoptPrograms(object, pins, std::move(links), installation);
}

}  // namespace

absl::StatusOr<Installation> Install(const EngineOptions& options) {
  NP_RETURN_IF_ERROR(CheckBpfCapabilities("open engine"));
  Installation installation;
  const bool may_make = options.mode == OpenMode::kLoadOrAdopt;
  std::string cgroup = options.cgroup;
  if (cgroup.empty() && may_make) {
    NP_ASSIGN_OR_RETURN(cgroup, FindCgroup2Mount());
  }
  if (!cgroup.empty()) {
    NP_ASSIGN_OR_RETURN(installation.cgroup, OpenCgroup(cgroup));
  }

  NP_ASSIGN_OR_RETURN(
      PinDirectory pins,
      PinDirectory::Lock(options.pin_dir, {.group = options.pin_group},
                         may_make ? PinDirectory::IfAbsent::kMake
                                  : PinDirectory::IfAbsent::kFail,
                         options.lock_timeout));
  NP_ASSIGN_OR_RETURN(const Found found, LookForTables(pins));
  if (found == Found::kReady) {
    installation.report.start = OpenReport::Start::kAdopted;
    NP_RETURN_IF_ERROR(may_make ? Adopt(pins, installation)
                                : AdoptAsFound(pins, installation));
  } else {
    if (!may_make) {
      return absl::NotFoundError(absl::StrCat("adopt pins in ", options.pin_dir,
                                              ": nothing is set up there"));
    }
    NP_RETURN_IF_ERROR(pins.RemoveAll(installation.report.leftovers_removed));
    absl::Status status = pins.Prepare();
    if (status.ok()) status = LoadFresh(options, pins, installation);
    if (!status.ok()) {
      pins.Undo();
      return status;
    }
  }
  installation.pin_dir = std::move(pins).ReleaseUnlocked();
  return installation;
}

absl::Status Uninstall(const std::string& pin_dir,
                       absl::Duration lock_timeout) {
  absl::StatusOr<PinDirectory> pins = PinDirectory::Lock(
      pin_dir, {}, PinDirectory::IfAbsent::kFail, lock_timeout);
  if (absl::IsNotFound(pins.status())) return absl::OkStatus();
  if (!pins.ok()) return pins.status();
  NP_RETURN_IF_ERROR(pins->CheckNothingForeign());
  // Engines in other processes learn that their tables are nobody's any more;
  // and if we die half-way, the next set-up removes the rest.
  absl::StatusOr<UniqueFd> fd =
      OpenPin(pins->MapPin("np_control"), PinKind::kMap);
  if (fd.ok()) {
    absl::StatusOr<RawMap> map = RawMap::Open(*std::move(fd));
    if (map.ok()) {
      absl::StatusOr<MappedArray<np_control>> control =
          MappedArray<np_control>::Map(*map);
      if (control.ok() && control->size() == 1) {
        StoreRelease(control->at(0).ready, 0);
      }
    }
  }
  int removed = 0;
  NP_RETURN_IF_ERROR(pins->RemoveAll(removed));
  return pins->RemoveDirectory();
}

}  // namespace netpolicy
