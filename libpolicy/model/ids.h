#ifndef NETPOLICY_LIBPOLICY_MODEL_IDS_H_
#define NETPOLICY_LIBPOLICY_MODEL_IDS_H_

#include <cstdint>

// The numbers that name things, each as a type of its own, so that a UID cannot
// be passed for an interface. `Uid{10007}` makes one; `ToInt(uid)` is the
// number. They compare, hash and order as their numbers do.

namespace netpolicy {

// A user id in the initial user namespace, 0 to 2^32-2 (2^32-1 is "no UID" to
// the kernel).
enum class Uid : uint32_t {};

// An interface index in the network namespace that a packet was seen in,
// from 1.
enum class IfIndex : uint32_t {};

// The number of a committed policy, from 1; each commit that changes something
// adds one.
enum class Generation : uint64_t {};

constexpr uint32_t ToInt(Uid uid) { return static_cast<uint32_t>(uid); }
constexpr uint32_t ToInt(IfIndex ifindex) {
  return static_cast<uint32_t>(ifindex);
}
constexpr uint64_t ToInt(Generation generation) {
  return static_cast<uint64_t>(generation);
}

// Packets that belong to no socket; the subject of rules for them. Not a valid
// UID.
inline constexpr Uid kNoOwner{0xffffffff};

// The largest UID that a policy can name.
inline constexpr Uid kMaxUid{0xfffffffe};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_IDS_H_
