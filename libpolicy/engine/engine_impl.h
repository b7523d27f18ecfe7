// SPDX-License-Identifier: Apache-2.0
//
// What an Engine is made of; for engine.cc and for tests' EnginePeer.

#ifndef NETPOLICY_LIBPOLICY_ENGINE_ENGINE_IMPL_H_
#define NETPOLICY_LIBPOLICY_ENGINE_ENGINE_IMPL_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "libpolicy/engine/committer.h"
#include "libpolicy/engine/engine.h"
#include "libpolicy/engine/install.h"
#include "libpolicy/kernel/lock.h"

namespace netpolicy {

struct Engine::Impl {
  Impl(EngineOptions options_in, Installation installation_in,
       std::unique_ptr<TableWriter> writer)
      : options(std::move(options_in)),
        installation(std::move(installation_in)),
        committer(*installation.tables, std::move(writer)) {}

  const Tables& tables() const { return *installation.tables; }

  // The lock on the pin directory, among processes. `mutex` is held: threads
  // share the descriptor.
  absl::StatusOr<DirectoryLock> Lock(DirectoryLock::Kind kind)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // Calls `read` until it saw the tables standing still, if need be under the
  // lock. `operation` is for the message when they were detached.
  absl::Status Read(absl::string_view operation,
                    absl::FunctionRef<void(uint64_t active)> read)
      ABSL_LOCKS_EXCLUDED(mutex);

  const EngineOptions options;
  const Installation installation;
  absl::Mutex mutex;
  Committer committer ABSL_GUARDED_BY(mutex);
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_ENGINE_ENGINE_IMPL_H_
