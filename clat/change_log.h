// SPDX-License-Identifier: Apache-2.0
//
// The last changes of translation, numbered, so that who follows them misses
// none unnoticed.
//
//   Changes changes = log.After(kOnlyTheLast);
//   loop: for (const Change& change : log.After(last).list) ...

#ifndef NETPOLICY_CLAT_CHANGE_LOG_H_
#define NETPOLICY_CLAT_CHANGE_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace netpolicy::clat {

struct Change {
  uint64_t number = 0;  // from 1 on, without gaps
  absl::Time time = {};
  std::string kind = {};       // "on", "changed", "off", "error"
  std::string interface = {};  // "": of none
  // What is translated, "prefix=64:ff9b::/96 ..."; why no longer; the error.
  std::string detail = {};
};

struct Changes {
  // In order. When the first one's number is not the next one, those between
  // were not kept.
  std::vector<Change> list;
  // The number of the last change there was, 0 for none. Less than before:
  // another controller has begun to count.
  uint64_t last = 0;
};

// As what was seen last: nothing but Changes::last is wanted.
inline constexpr uint64_t kOnlyTheLast = UINT64_MAX;

// Thread-compatible.
class ChangeLog {
 public:
  static constexpr size_t kKept = 256;

  void Add(Change change) {
    change.number = ++last_;
    kept_.push_back(std::move(change));
    if (kept_.size() > kKept) kept_.pop_front();
  }

  // Those that are newer than the number `seen`.
  Changes After(uint64_t seen) const {
    Changes changes{.list = {}, .last = last_};
    for (const Change& change : kept_) {
      if (change.number > seen) changes.list.push_back(change);
    }
    return changes;
  }

 private:
  std::deque<Change> kept_;
  uint64_t last_ = 0;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_CHANGE_LOG_H_
