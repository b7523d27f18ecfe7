// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_STATS_TEXT_H_
#define NETPOLICY_NETD_CLI_STATS_TEXT_H_

#include <cstdint>
#include <string>

#include "netd/cli/invocation.h"
#include "netd/cli/session.h"
#include "netd/cli/stats_reading.h"

// What `stats` and `top` say alike. A subject is what StatsReading::rows are
// by.

namespace netpolicy::cli {

// The title of the column of subjects: "counter set".
const char* SubjectTitle(StatsCommand::By by);

// "10007 (alice)", "3 (wlan0)", "0xf00d".
std::string SubjectText(uint32_t subject, StatsCommand::By by,
                        Session& session);

// {"uid": 10007, "user": "alice"}, {"ifindex": 3, "interface": "wlan0"},
// {"tag": 61453}, {"set": 1}.
Json SubjectJson(uint32_t subject, StatsCommand::By by, Names& names);

// {"rx": {...}, "tx": {...}}
Json SumJson(const Sum& sum);

Json RefusedJson(const Refused& refused);

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_STATS_TEXT_H_
