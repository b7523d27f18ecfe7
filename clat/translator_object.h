// SPDX-License-Identifier: Apache-2.0
//
// bpf_progs/clat.bpf.c in the kernel: its programs and its tables.

#ifndef NETPOLICY_CLAT_TRANSLATOR_OBJECT_H_
#define NETPOLICY_CLAT_TRANSLATOR_OBJECT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf_progs/abi/clat.h"
#include "clat/translator_config.h"
#include "libpolicy/model/ids.h"

struct clat_bpf;

namespace netpolicy::clat {

// What an uplink's packets start with.
enum class LinkType : uint8_t { kRawIp, kEthernet };

// The way a packet goes: out of the uplink, or in.
enum class Direction : uint8_t { k4to6, k6to4 };

// Loaded programs with tables of their own. Thread-compatible. Everything goes
// with it that has not been attached or pinned.
class TranslatorObject {
 public:
  // Errors: kPermissionDenied; kFailedPrecondition with the verifier's last
  // words.
  static absl::StatusOr<TranslatorObject> Load();

  // Loaded programs with the tables that are pinned in a directory of a bpffs,
  // instances, mappings and counters with them; those that aren't there are
  // made and pinned. They outlive this object. Errors: as above;
  // kFailedPrecondition when the tables are of another layout.
  static absl::StatusOr<TranslatorObject> LoadPinned(
      const std::string& directory);

  TranslatorObject(TranslatorObject&&) noexcept;
  TranslatorObject& operator=(TranslatorObject&&) noexcept;
  ~TranslatorObject();

  // Translates on this interface from now on, in place of what was set before:
  // mappings that are no longer wanted go last.
  absl::Status SetInstance(IfIndex ifindex, const InstanceImage& image);

  // Translates no longer. OK when it did not.
  absl::Status RemoveInstance(IfIndex ifindex);

  // What is translated now, by interface.
  absl::StatusOr<std::map<IfIndex, np_clat_instance>> ReadInstances() const;
  // The mappings of an interface, in the order of the table.
  std::vector<InstanceImage::Mapping> Mappings(IfIndex ifindex) const;

  // Sets the counters of a slot to 0; nobody may be translating with it.
  absl::Status ResetCounters(uint32_t slot);

  // Sums over all CPUs.
  absl::StatusOr<np_clat_counters> ReadCounters(uint32_t slot) const;

  // Owned by this object.
  int ProgramFd(Direction direction, LinkType link) const;

  // What the verifier said when it took this program: "processed 27952 insns".
  const std::string& VerifierLog(Direction direction, LinkType link) const;

 private:
  struct Destroy {
    void operator()(clat_bpf* skeleton) const;
  };
  struct State;
  static absl::StatusOr<TranslatorObject> LoadWith(
      const std::string& pin_directory);
  absl::Status ReadMappings();
  explicit TranslatorObject(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_TRANSLATOR_OBJECT_H_
