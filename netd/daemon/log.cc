// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/log.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace netpolicy {
namespace {

bool IsPlain(absl::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' &&
           c != '\'' && c != '=' && c != '\\';
  });
}

}  // namespace

std::string FormatLogLine(absl::string_view event,
                          std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat("event=", event);
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key, "=");
    if (IsPlain(field.value)) {
      line += field.value;
    } else {
      absl::StrAppend(&line, "\"", absl::CEscape(field.value), "\"");
    }
  }
  line += '\n';
  return line;
}

void Log(absl::string_view event, std::initializer_list<LogField> fields) {
  const std::string line = FormatLogLine(event, fields);
  const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(written);
}

}  // namespace netpolicy
