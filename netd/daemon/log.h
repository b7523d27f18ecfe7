// SPDX-License-Identifier: Apache-2.0
//
// netd's log: one line of key=value pairs per event, on standard error.
//   event=commit uid=0 pid=4711 generation=5

#ifndef NETPOLICY_NETD_DAEMON_LOG_H_
#define NETPOLICY_NETD_DAEMON_LOG_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace netpolicy {

struct LogField {
  LogField(absl::string_view key, const absl::AlphaNum& value)
      : key(key), value(value.Piece()) {}

  absl::string_view key;
  std::string value;
};

// The line, with its newline. Values with anything but printable ASCII, or with
// blanks, quotes, '=' or backslashes, are quoted as in C; so is the empty one.
std::string FormatLogLine(absl::string_view event,
                          std::initializer_list<LogField> fields);

// Writes the line to standard error, in one write(2). A log that can't be
// written is no reason to stop.
void Log(absl::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_DAEMON_LOG_H_
