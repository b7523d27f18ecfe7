// SPDX-License-Identifier: Apache-2.0
//
// Removes what a test made outside its process, even when the test dies by a
// signal and no destructor runs. For the RAII types of this library; a test
// itself has no use for it.
//
//   NP_ASSIGN_OR_RETURN(JanitorTicket ticket,
//                       JanitorTicket::ForDirectory(path));
//   mkdir(path.c_str(), 0755);   // from here on it can't be left behind
//   ...
//   RemoveTree(path);            // the normal way; then ~JanitorTicket
//
// The janitor is one process for a test process and all its children. It starts
// at the first ticket, holds none of the test's descriptors or shared mappings,
// and waits for the test process to end. Then it kills the registered processes
// that are left, empties and removes cgroups, unmounts, removes directories, in
// this order and each kind backwards, and exits. A ticket is registered before
// the thing exists.

#ifndef NETPOLICY_LIBPOLICY_TESTING_JANITOR_H_
#define NETPOLICY_LIBPOLICY_TESTING_JANITOR_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace netpolicy::testing {

// One registered thing. Destroying the ticket takes it off the list. Copies in
// forked children do nothing. Movable; not thread-safe.
class JanitorTicket {
 public:
  static absl::StatusOr<JanitorTicket> ForCgroup(const std::string& path);
  static absl::StatusOr<JanitorTicket> ForMount(const std::string& path);
  static absl::StatusOr<JanitorTicket> ForDirectory(const std::string& path);

  // Reserves a number with which a forked child registers itself as its first
  // act (RegisterThisProcess).
  static absl::StatusOr<JanitorTicket> ForChild();

  JanitorTicket() = default;
  JanitorTicket(JanitorTicket&& other) noexcept;
  JanitorTicket& operator=(JanitorTicket&& other) noexcept;
  ~JanitorTicket() { Forget(); }

  // Called in the child. False: the janitor is gone, so the child should exit.
  bool RegisterThisProcess() const;

  // False after a move, after Abandon, and in a forked child, where the thing
  // must not be removed.
  bool owns() const;

  // Leaves the thing to the janitor: its removal failed.
  void Abandon() { id_ = 0; }

 private:
  JanitorTicket(uint64_t id, pid_t owner) : id_(id), owner_(owner) {}
  void Forget();

  uint64_t id_ = 0;
  pid_t owner_ = 0;
};

// Closes every descriptor from 3 up but `keep`, and unmaps shared mappings (BPF
// maps, packet rings), so that a forked child keeps nothing of its parent
// alive. `keep` is in no order; negative numbers are ignored.
void DropInheritedResources(std::vector<int> keep);

// Removes a directory tree; never follows a symbolic link, never enters
// another mount. kNotFound when it was gone already.
absl::Status RemoveTree(const std::string& path);

// Kills every process in a cgroup (v2) and its descendants, except the caller,
// waits up to two seconds until they are gone, and removes the directories.
absl::Status RemoveCgroup(const std::string& path);

// Unlinks everything below a mount point of a bpffs and detaches the mount.
absl::Status RemoveBpfFsMount(const std::string& path);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_JANITOR_H_
