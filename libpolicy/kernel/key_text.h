// SPDX-License-Identifier: Apache-2.0
//
// How the key of each table reads in an error message: "uid=10007".

#ifndef NETPOLICY_LIBPOLICY_KERNEL_KEY_TEXT_H_
#define NETPOLICY_LIBPOLICY_KERNEL_KEY_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "bpf_progs/abi/policy.h"
#include "bpf_progs/abi/stats.h"

namespace netpolicy {

inline std::string KeyText(uint32_t index) { return absl::StrCat(index); }

inline std::string KeyText(int fd) { return absl::StrCat("fd=", fd); }

inline std::string KeyText(const np_uid_key& key) {
  return absl::StrCat("uid=", key.uid);
}

inline std::string KeyText(const np_row_key& key) {
  return absl::StrCat("uid=", key.uid, ",tag=", key.tag,
                      ",counter_set=", key.counter_set,
                      ",ifindex=", key.ifindex);
}

inline std::string KeyText(const np_drop_key& key) {
  return absl::StrCat("uid=", key.uid, ",direction=", key.direction,
                      ",reasons=0x", absl::Hex(key.reasons));
}

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_KEY_TEXT_H_
