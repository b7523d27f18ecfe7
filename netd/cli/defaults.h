// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_DEFAULTS_H_
#define NETPOLICY_NETD_CLI_DEFAULTS_H_

#include <string>

#include "libpolicy/engine/engine_options.h"
#include "netd/service/client.h"

namespace netpolicy::cli {

// Where netd is unless its options say otherwise.
inline std::string DefaultSocket() { return kDefaultSocketPath; }
inline std::string DefaultPinDir() { return EngineOptions().pin_dir; }

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_DEFAULTS_H_
