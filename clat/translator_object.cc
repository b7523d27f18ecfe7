// SPDX-License-Identifier: Apache-2.0

#include "clat/translator_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bpf_progs/clat.skel.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/capability.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/libbpf_log.h"

namespace netpolicy::clat {
namespace {

constexpr size_t kVerifierLogSize = 4096;

absl::Status UpdateElement(const bpf_map* map, const void* key,
                           const void* value, absl::string_view element) {
  if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) == 0) {
    return absl::OkStatus();
  }
  return MapStatusFromErrno(errno, MapOperation::kUpdate, element,
                            bpf_map__type(map), bpf_map__max_entries(map));
}

absl::Status DeleteElement(const bpf_map* map, const void* key,
                           absl::string_view element) {
  if (bpf_map_delete_elem(bpf_map__fd(map), key) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return MapStatusFromErrno(errno, MapOperation::kDelete, element,
                            bpf_map__type(map), bpf_map__max_entries(map));
}

template <typename Key>
bool SameKey(const Key& a, const Key& b) {
  return std::memcmp(&a, &b, sizeof(Key)) == 0;
}

size_t Index(Direction direction, LinkType link) {
  return (direction == Direction::k6to4 ? 2 : 0) +
         (link == LinkType::kRawIp ? 1 : 0);
}

}  // namespace

struct TranslatorObject::State {
  std::unique_ptr<clat_bpf, Destroy> skeleton;
  std::array<std::string, 4> logs;
  // What SetInstance() wrote, to be taken away again.
  std::map<IfIndex, std::vector<InstanceImage::Mapping>> mappings;
};

void TranslatorObject::Destroy::operator()(clat_bpf* skeleton) const {
  clat_bpf::destroy(skeleton);
}

TranslatorObject::TranslatorObject(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

TranslatorObject::TranslatorObject(TranslatorObject&&) noexcept = default;
TranslatorObject& TranslatorObject::operator=(TranslatorObject&&) noexcept =
    default;
TranslatorObject::~TranslatorObject() = default;

absl::StatusOr<TranslatorObject> TranslatorObject::Load() {
  return LoadWith("");
}

absl::StatusOr<TranslatorObject> TranslatorObject::LoadPinned(
    const std::string& directory) {
  NP_ASSIGN_OR_RETURN(TranslatorObject object, LoadWith(directory));
  NP_RETURN_IF_ERROR(object.ReadMappings());
  return object;
}

absl::StatusOr<TranslatorObject> TranslatorObject::LoadWith(
    const std::string& pin_directory) {
  NP_RETURN_IF_ERROR(CheckBpfCapabilities("load clat programs"));
  LibbpfLog log;
  auto state = std::make_unique<State>();
  state->skeleton.reset(clat_bpf::open());
  if (state->skeleton == nullptr) {
    return StatusFromErrno(errno, "open clat programs", log.LastWarning());
  }
  const clat_bpf& skeleton = *state->skeleton;
  const std::array<bpf_program*, 4> programs = {
      skeleton.progs.np_clat46_eth, skeleton.progs.np_clat46_raw,
      skeleton.progs.np_clat64_eth, skeleton.progs.np_clat64_raw};
  std::array<std::vector<char>, 4> buffers;
  for (size_t i = 0; i < programs.size(); ++i) {
    buffers[i].resize(kVerifierLogSize);
    bpf_program__set_log_level(programs[i], 4);  // statistics only
    bpf_program__set_log_buf(programs[i], buffers[i].data(), buffers[i].size());
  }
  if (!pin_directory.empty()) {
    // All that is to be there for the next process; what else there is, packets
    // need only while they are translated.
    for (bpf_map* map :
         {skeleton.maps.np_clat_inst, skeleton.maps.np_clat_eam4,
          skeleton.maps.np_clat_eam6, skeleton.maps.np_clat_count,
          skeleton.maps.np_clat_bucket}) {
      const std::string path =
          absl::StrCat(pin_directory, "/", bpf_map__name(map));
      if (bpf_map__set_pin_path(map, path.c_str()) != 0) {
        return StatusFromErrno(errno, absl::StrCat("pin ", path));
      }
    }
  }
  if (clat_bpf::load(state->skeleton.get()) != 0) {
    const int error = errno;
    std::string hint = log.LastWarning();
    for (const std::vector<char>& buffer : buffers) {
      if (buffer[0] != '\0') absl::StrAppend(&hint, "; ", buffer.data());
    }
    if (error == EPERM || error == EACCES || error == EINVAL ||
        error == E2BIG) {
      return absl::FailedPreconditionError(
          absl::StrCat("load clat programs: ", hint));
    }
    return StatusFromErrno(error, "load clat programs", hint);
  }
  for (size_t i = 0; i < programs.size(); ++i) {
    state->logs[i] = buffers[i].data();
    // The buffers go; libbpf does not look at them again.
    bpf_program__set_log_level(programs[i], 0);
  }
  return TranslatorObject(std::move(state));
}

absl::Status TranslatorObject::SetInstance(IfIndex ifindex,
                                           const InstanceImage& image) {
  const auto& maps = state_->skeleton->maps;
  const uint32_t key = ToInt(ifindex);
  std::vector<InstanceImage::Mapping>& now = state_->mappings[ifindex];
  std::vector<InstanceImage::Mapping> old = std::exchange(now, {});

  for (const InstanceImage::Mapping& mapping : image.mappings) {
    NP_RETURN_IF_ERROR(UpdateElement(maps.np_clat_eam4, &mapping.key4,
                                     &mapping.value, "np_clat_eam4"));
    NP_RETURN_IF_ERROR(UpdateElement(maps.np_clat_eam6, &mapping.key6,
                                     &mapping.value, "np_clat_eam6"));
    now.push_back(mapping);
  }
  NP_RETURN_IF_ERROR(
      UpdateElement(maps.np_clat_inst, &key, &image.instance,
                    absl::StrCat("np_clat_inst[ifindex=", key, "]")));
  for (const InstanceImage::Mapping& gone : old) {
    bool keep4 = false;
    bool keep6 = false;
    for (const InstanceImage::Mapping& mapping : now) {
      keep4 |= SameKey(mapping.key4, gone.key4);
      keep6 |= SameKey(mapping.key6, gone.key6);
    }
    if (!keep4) {
      NP_RETURN_IF_ERROR(
          DeleteElement(maps.np_clat_eam4, &gone.key4, "np_clat_eam4"));
    }
    if (!keep6) {
      NP_RETURN_IF_ERROR(
          DeleteElement(maps.np_clat_eam6, &gone.key6, "np_clat_eam6"));
    }
  }
  return absl::OkStatus();
}

absl::Status TranslatorObject::RemoveInstance(IfIndex ifindex) {
  const auto& maps = state_->skeleton->maps;
  const uint32_t key = ToInt(ifindex);
  NP_RETURN_IF_ERROR(
      DeleteElement(maps.np_clat_inst, &key,
                    absl::StrCat("np_clat_inst[ifindex=", key, "]")));
  for (const InstanceImage::Mapping& gone : state_->mappings[ifindex]) {
    NP_RETURN_IF_ERROR(
        DeleteElement(maps.np_clat_eam4, &gone.key4, "np_clat_eam4"));
    NP_RETURN_IF_ERROR(
        DeleteElement(maps.np_clat_eam6, &gone.key6, "np_clat_eam6"));
  }
  state_->mappings.erase(ifindex);
  return absl::OkStatus();
}

absl::StatusOr<std::map<IfIndex, np_clat_instance>>
TranslatorObject::ReadInstances() const {
  const bpf_map* map = state_->skeleton->maps.np_clat_inst;
  std::map<IfIndex, np_clat_instance> instances;
  uint32_t key = 0;
  const void* previous = nullptr;
  // Keys that are removed meanwhile begin the walk anew: bounded.
  for (int i = 0; i < 4 * NP_CLAT_SLOTS; ++i) {
    if (bpf_map_get_next_key(bpf_map__fd(map), previous, &key) != 0) break;
    previous = &key;
    np_clat_instance instance;
    if (bpf_map_lookup_elem(bpf_map__fd(map), &key, &instance) != 0) {
      if (errno == ENOENT) continue;
      return MapStatusFromErrno(errno, MapOperation::kLookup,
                                absl::StrCat("np_clat_inst[ifindex=", key, "]"),
                                bpf_map__type(map), bpf_map__max_entries(map));
    }
    instances[IfIndex{key}] = instance;
  }
  return instances;
}

std::vector<InstanceImage::Mapping> TranslatorObject::Mappings(
    IfIndex ifindex) const {
  const auto found = state_->mappings.find(ifindex);
  if (found == state_->mappings.end()) return {};
  return found->second;
}

absl::Status TranslatorObject::ReadMappings() {
  const bpf_map* map = state_->skeleton->maps.np_clat_eam4;
  np_clat_eam4_key key;
  const void* previous = nullptr;
  for (uint32_t i = 0; i < bpf_map__max_entries(map); ++i) {
    if (bpf_map_get_next_key(bpf_map__fd(map), previous, &key) != 0) break;
    previous = &key;
    InstanceImage::Mapping mapping{};
    if (bpf_map_lookup_elem(bpf_map__fd(map), &key, &mapping.value) != 0) {
      return MapStatusFromErrno(errno, MapOperation::kLookup, "np_clat_eam4",
                                bpf_map__type(map), bpf_map__max_entries(map));
    }
    mapping.key4 = key;
    mapping.key6 = {32U + mapping.value.len6, key.ifindex,
                    mapping.value.prefix6};
    state_->mappings[IfIndex{key.ifindex}].push_back(mapping);
  }
  return absl::OkStatus();
}

absl::Status TranslatorObject::ResetCounters(uint32_t slot) {
  const bpf_map* map = state_->skeleton->maps.np_clat_count;
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return StatusFromErrno(-cpus, "count CPUs");
  const std::vector<np_clat_counters> zeros(static_cast<size_t>(cpus));
  return UpdateElement(map, &slot, zeros.data(),
                       absl::StrCat("np_clat_count[slot=", slot, "]"));
}

absl::StatusOr<np_clat_counters> TranslatorObject::ReadCounters(
    uint32_t slot) const {
  const bpf_map* map = state_->skeleton->maps.np_clat_count;
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return StatusFromErrno(-cpus, "count CPUs");
  std::vector<np_clat_counters> each(static_cast<size_t>(cpus));
  if (bpf_map_lookup_elem(bpf_map__fd(map), &slot, each.data()) != 0) {
    return MapStatusFromErrno(errno, MapOperation::kLookup,
                              absl::StrCat("np_clat_count[slot=", slot, "]"),
                              bpf_map__type(map), bpf_map__max_entries(map));
  }
  np_clat_counters sum{};
  for (const np_clat_counters& cpu : each) {
    for (size_t i = 0; i < NP_CLAT_OUTCOMES; ++i) {
      sum.outcomes[i] += cpu.outcomes[i];
    }
    for (size_t i = 0; i < NP_CLAT_ANSWERS; ++i) {
      sum.answers[i] += cpu.answers[i];
    }
    sum.bytes46 += cpu.bytes46;
    sum.bytes64 += cpu.bytes64;
  }
  return sum;
}

int TranslatorObject::ProgramFd(Direction direction, LinkType link) const {
  const auto& programs = state_->skeleton->progs;
  const std::array<const bpf_program*, 4> all = {
      programs.np_clat46_eth, programs.np_clat46_raw, programs.np_clat64_eth,
      programs.np_clat64_raw};
  return bpf_program__fd(all[Index(direction, link)]);
}

const std::string& TranslatorObject::VerifierLog(Direction direction,
                                                 LinkType link) const {
  return state_->logs[Index(direction, link)];
}

}  // namespace netpolicy::clat
