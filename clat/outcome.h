// SPDX-License-Identifier: Apache-2.0
//
// What became of a packet (NP_CLAT_* in bpf_progs/abi/clat.h), in words.

#ifndef NETPOLICY_CLAT_OUTCOME_H_
#define NETPOLICY_CLAT_OUTCOME_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace netpolicy::clat {

// Short, for tables and machines: "ttl_exceeded"; "unknown" for a number that
// has none. Names are for ever, as the numbers are.
absl::string_view OutcomeName(uint32_t outcome);

// For people: "TTL or hop limit has run out".
absl::string_view OutcomeText(uint32_t outcome);

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_OUTCOME_H_
