#include "libpolicy/model/reason.h"

#include <string>
#include <vector>

#include "absl/numeric/bits.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bpf_progs/abi/reason.h"
#include "bpf_progs/abi/stats.h"

namespace netpolicy {

static_assert(static_cast<int>(Direction::kIngress) == NP_INGRESS);
static_assert(static_cast<int>(Direction::kEgress) == NP_EGRESS);
static_assert(static_cast<int>(Direction::kSocketCreate) == NP_SOCKET_CREATE);
static_assert(static_cast<int>(Direction::kConnect) == NP_CONNECT);
static_assert(static_cast<int>(Direction::kBind) == NP_BIND);

namespace {

// By reason; the numbers that follow are reserved.
constexpr absl::string_view kNames[] = {
    "uid_rule",           "dozable",       "standby",
    "powersave",          "restricted",    "low_power_standby",
    "background",         "oem_deny_1",    "oem_deny_2",
    "oem_deny_3",         "data_saver",    "metered_deny_user",
    "metered_deny_admin", "lockdown_vpn",  "interface_rule",
    "ingress_discard",    "local_network", "internet_permission",
    "network_rule",       "quota",         "bind_port",
    "no_owner",
};
constexpr int kNamed = sizeof(kNames) / sizeof(kNames[0]);
static_assert(kNamed == NP_REASON_NO_OWNER + 1);

}  // namespace

absl::string_view DirectionName(Direction direction) {
  switch (direction) {
    case Direction::kIngress:
      return "ingress";
    case Direction::kEgress:
      return "egress";
    case Direction::kSocketCreate:
      return "socket_create";
    case Direction::kConnect:
      return "connect";
    case Direction::kBind:
      return "bind";
  }
  return "unknown";
}

std::vector<int> ReasonSet::numbers() const {
  std::vector<int> numbers;
  for (uint64_t bits = bits_; bits != 0; bits &= bits - 1) {
    numbers.push_back(absl::countr_zero(bits));
  }
  return numbers;
}

std::string ReasonName(int reason) {
  if (reason >= 0 && reason < kNamed) return std::string(kNames[reason]);
  if (reason >= NP_REASON_USER_CHAIN_0) {
    return absl::StrCat("chain_", reason - NP_REASON_USER_CHAIN_0);
  }
  return absl::StrCat("reserved_", reason);
}

}  // namespace netpolicy
