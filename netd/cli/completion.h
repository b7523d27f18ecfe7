// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_COMPLETION_H_
#define NETPOLICY_NETD_CLI_COMPLETION_H_

#include <CLI/CLI.hpp>
#include <string>

namespace netpolicy::cli {

// A script for bash that completes the subcommands and options of `app`, files
// for FILE and PATH, interfaces, users and the chains that netd has. Made from
// the app itself, so it never lags behind.
std::string BashCompletion(const CLI::App& app);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_COMPLETION_H_
