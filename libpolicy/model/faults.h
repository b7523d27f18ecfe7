#ifndef NETPOLICY_LIBPOLICY_MODEL_FAULTS_H_
#define NETPOLICY_LIBPOLICY_MODEL_FAULTS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace netpolicy {

// All that is wrong with a document, a line each. Beyond kMost only the number
// is kept: a hostile document must not make a message larger than itself.
class Faults {
 public:
  static constexpr size_t kMost = 100;

  // Whether another fault would be kept.
  bool full() const { return lines_.size() == kMost; }

  void Add(std::string line) {
    if (full()) {
      ++more_;
    } else {
      lines_.push_back(std::move(line));
    }
  }

  // kInvalidArgument, or OK when there are none.
  absl::Status status() const {
    if (lines_.empty()) return absl::OkStatus();
    std::string text = absl::StrJoin(lines_, "\n");
    if (more_ != 0) absl::StrAppend(&text, "\nand ", more_, " more");
    return absl::InvalidArgumentError(text);
  }

 private:
  std::vector<std::string> lines_;
  size_t more_ = 0;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_FAULTS_H_
