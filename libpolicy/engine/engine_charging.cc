// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bpf_progs/lib/decision.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/engine_impl.h"
#include "libpolicy/engine/snapshot.h"
#include "libpolicy/engine/socket_tag.h"
#include "libpolicy/model/charge.h"

namespace netpolicy {
namespace {

constexpr absl::string_view kTagSocket = "tag socket";
constexpr absl::string_view kSetCounterSet = "set counter set";

// The policy as far as it is about `caller`, and its application.
absl::StatusOr<Policy> PolicyOfCaller(const Tables& tables, uint64_t active,
                                      Uid caller) {
  TableCopy copy;
  CopyConfig(tables, active, copy);
  for (const uint32_t uid :
       {ToInt(caller), np_app_id(&copy.config, ToInt(caller))}) {
    NP_ASSIGN_OR_RETURN(const auto found,
                        tables.uid_index.Lookup({.uid = uid}));
    if (!found.has_value() || found->position >= tables.slot_size()) continue;
    if (!copy.uids.empty() && copy.uids[0].uid == uid) continue;
    copy.uids.push_back(
        CopyWords(tables.entry(np_active_slot(active), found->position)));
  }
  return DecompileCopy(copy);
}

}  // namespace

absl::Status Engine::TagSocket(int socket, const SocketTag& tag) {
  const Tables& tables = impl_->tables();
  NP_RETURN_IF_ERROR(CheckReady(tables.control_entry(), kTagSocket));
  return WriteSocketTag(tables.socket, socket, tag);
}

absl::StatusOr<bool> Engine::MayChargeOthers(absl::string_view operation,
                                             Uid caller) {
  // Nobody's policy takes it from root.
  if (caller == Uid{0}) return true;
  absl::StatusOr<Policy> policy;
  NP_RETURN_IF_ERROR(impl_->Read(operation, [&](uint64_t active) {
    policy = PolicyOfCaller(impl_->tables(), active, caller);
  }));
  NP_RETURN_IF_ERROR(policy.status());
  return netpolicy::MayChargeOthers(*policy, caller);
}

absl::Status Engine::TagSocketFor(Uid caller, int socket,
                                  const SocketTag& tag) {
  const Tables& tables = impl_->tables();
  NP_RETURN_IF_ERROR(CheckReady(tables.control_entry(), kTagSocket));
  NP_ASSIGN_OR_RETURN(const Uid owner, ReadSocketOwner(tables.socket, socket));
  const Uid charged = tag.charge.value_or(owner);
  if (charged != caller) {
    NP_ASSIGN_OR_RETURN(const bool may, MayChargeOthers(kTagSocket, caller));
    if (!may) {
      return absl::PermissionDeniedError(
          absl::StrCat(kTagSocket, ": operation not permitted: uid ",
                       ToInt(caller), " may not charge uid ", ToInt(charged),
                       tag.charge.has_value() ? "" : ", who owns the socket",
                       " (it has no update_device_stats)"));
    }
  }
  return WriteSocketTag(tables.socket, socket, tag);
}

absl::Status Engine::SetCounterSet(Uid uid, uint32_t counter_set) {
  if (ToInt(uid) > ToInt(kMaxUid)) {
    return absl::InvalidArgumentError(
        absl::StrCat(kSetCounterSet, ": ", ToInt(uid), " is no uid"));
  }
  if (counter_set > kMaxCounterSet) {
    return absl::InvalidArgumentError(absl::StrCat(
        kSetCounterSet, ": ", counter_set, " is above ", kMaxCounterSet));
  }
  const absl::MutexLock mutex_lock(&impl_->mutex);
  NP_ASSIGN_OR_RETURN(const DirectoryLock lock,
                      impl_->Lock(DirectoryLock::Kind::kExclusive));
  const Tables& tables = impl_->tables();
  NP_RETURN_IF_ERROR(CheckReady(tables.control_entry(), kSetCounterSet));
  const np_uid_key key = {.uid = ToInt(uid)};
  if (counter_set == 0) {
    const absl::Status status = tables.counter_sets.Delete(key);
    if (!absl::IsNotFound(status)) NP_RETURN_IF_ERROR(status);
  } else {
    NP_RETURN_IF_ERROR(
        tables.counter_sets.Update(key, {.counter_set = counter_set}));
  }
  // Also when nothing changed: whoever set it before may have died before this.
  return impl_->committer.OutdateVerdicts();
}

absl::Status Engine::SetCounterSetFor(Uid caller, Uid uid,
                                      uint32_t counter_set) {
  NP_ASSIGN_OR_RETURN(const bool may, MayChargeOthers(kSetCounterSet, caller));
  if (!may) {
    return absl::PermissionDeniedError(
        absl::StrCat(kSetCounterSet, ": operation not permitted: uid ",
                     ToInt(caller), " has no update_device_stats"));
  }
  return SetCounterSet(uid, counter_set);
}

absl::StatusOr<std::vector<UidCounterSet>> Engine::CounterSets() {
  const Tables& tables = impl_->tables();
  NP_RETURN_IF_ERROR(CheckReady(tables.control_entry(), "read counter sets"));
  NP_ASSIGN_OR_RETURN(const auto entries, tables.counter_sets.Dump());
  std::vector<UidCounterSet> sets;
  for (const auto& [key, value] : entries) {
    sets.push_back({.uid = Uid{key.uid}, .counter_set = value.counter_set});
  }
  std::sort(sets.begin(), sets.end(),
            [](const UidCounterSet& a, const UidCounterSet& b) {
              return a.uid < b.uid;
            });
  return sets;
}

}  // namespace netpolicy
