#ifndef NETPOLICY_LIBPOLICY_MODEL_REASON_H_
#define NETPOLICY_LIBPOLICY_MODEL_REASON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Why something is refused: the numbers of bpf_progs/abi/reason.h with their
// names.

namespace netpolicy {

// What a packet, or a call, is judged for.
enum class Direction : uint8_t {
  kIngress = 0,       // NP_INGRESS
  kEgress = 1,        // NP_EGRESS
  kSocketCreate = 2,  // NP_SOCKET_CREATE: socket(2)
  kConnect = 3,       // NP_CONNECT: connect(2), sendto(2), sendmsg(2)
  kBind = 4,          // NP_BIND: bind(2)
};

// Else it is a call, which has no bytes.
constexpr bool IsPacket(Direction direction) {
  return direction == Direction::kIngress || direction == Direction::kEgress;
}

// "ingress", "egress", "socket_create", "connect", "bind".
absl::string_view DirectionName(Direction direction);

// A set of reasons; empty means "let it pass". Bit N is reason N. Immutable
// value.
class ReasonSet {
 public:
  constexpr ReasonSet() = default;
  explicit constexpr ReasonSet(uint64_t bits) : bits_(bits) {}

  constexpr uint64_t bits() const { return bits_; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool contains(int reason) const {
    return (bits_ >> reason & 1) != 0;
  }

  // The reasons' numbers, ascending.
  std::vector<int> numbers() const;

  friend constexpr bool operator==(ReasonSet a, ReasonSet b) {
    return a.bits_ == b.bits_;
  }
  friend constexpr bool operator!=(ReasonSet a, ReasonSet b) {
    return a.bits_ != b.bits_;
  }

 private:
  uint64_t bits_ = 0;
};

// The fixed name of a reason ("uid_rule", "dozable", "internet_permission");
// for the reasons of user-defined chains "chain_0" to "chain_31" (the policy
// knows the chain's own name: see Policy::ReasonName()); for reserved numbers
// "reserved_N". Requires 0 <= reason < NP_REASONS.
std::string ReasonName(int reason);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_REASON_H_
