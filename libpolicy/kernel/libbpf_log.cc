// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/libbpf_log.h"

#include <bpf/libbpf.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace netpolicy {
namespace {

// libbpf has one print function a process; there is no other way to its words.
thread_local std::string* sink = nullptr;
std::mutex users_mutex;
int users = 0;
std::atomic<libbpf_print_fn_t> others_print{nullptr};

int Print(libbpf_print_level level, const char* format, va_list arguments) {
  if (sink == nullptr) {
    const libbpf_print_fn_t print = others_print.load();
    return print == nullptr ? 0 : print(level, format, arguments);
  }
  if (level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length > 0) {
    std::vector<char> line(static_cast<size_t>(length) + 1);
    vsnprintf(line.data(), line.size(), format, arguments);
    sink->append(line.data(), static_cast<size_t>(length));
  }
  return length;
}

}  // namespace

LibbpfLog::LibbpfLog() {
  sink = &text_;
  const std::lock_guard<std::mutex> lock(users_mutex);
  if (users++ == 0) others_print.store(libbpf_set_print(Print));
}

LibbpfLog::~LibbpfLog() {
  {
    const std::lock_guard<std::mutex> lock(users_mutex);
    if (--users == 0) libbpf_set_print(others_print.load());
  }
  sink = nullptr;
}

std::string LibbpfLog::LastWarning() const {
  absl::string_view last;
  absl::string_view verdict;
  bool verifier = false;
  for (absl::string_view line : absl::StrSplit(text_, '\n')) {
    if (absl::StrContains(line, "-- BEGIN PROG LOAD LOG --")) {
      verifier = true;
    } else if (absl::StrContains(line, "-- END PROG LOAD LOG --")) {
      verifier = false;
    } else if (verifier) {
      // After the cause comes a statistic.
      if (!line.empty() && !absl::StartsWith(line, "processed ")) {
        verdict = line;
      }
    } else if (absl::ConsumePrefix(&line, "libbpf: ") &&
               // What follows a first cause is that the whole could not be
               // loaded.
               !absl::StartsWith(line, "failed to load object") &&
               !absl::StartsWith(line, "failed to load BPF skeleton")) {
      last = line;
    }
  }
  if (verdict.empty()) return std::string(last);
  return absl::StrCat(last, ": ", absl::StripAsciiWhitespace(verdict));
}

}  // namespace netpolicy
