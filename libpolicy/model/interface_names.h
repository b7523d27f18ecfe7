// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_MODEL_INTERFACE_NAMES_H_
#define NETPOLICY_LIBPOLICY_MODEL_INTERFACE_NAMES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libpolicy/model/policy.h"

namespace netpolicy {

// Every NAME and PREFIX* by which the policy means interfaces anywhere, also
// through a class; ascending, none twice. Other interfaces are all the same to
// it.
std::vector<std::string> InterfacePatterns(const Policy& policy);

// Whether one of them means an interface of that name.
bool MatchesAny(const std::vector<std::string>& patterns,
                absl::string_view name);

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_INTERFACE_NAMES_H_
