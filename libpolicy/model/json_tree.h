#ifndef NETPOLICY_LIBPOLICY_MODEL_JSON_TREE_H_
#define NETPOLICY_LIBPOLICY_MODEL_JSON_TREE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// JSON with comments (RFC 8259, plus // and /* */) as a tree that knows where
// everything was written, so that whoever reads it can say where a fault is.

namespace netpolicy {

struct JsonNode {
  enum class Kind : uint8_t {
    kNull,
    kBool,      // number: 0 or 1
    kUnsigned,  // number
    kNumber,    // negative, fractional, with an exponent or beyond 64 bits
    kString,    // number: of the string
    kArray,     // its elements follow
    kObject,    // its members follow, each a kKey and its value
    kKey,       // number: of the string
  };
  Kind kind = Kind::kNull;
  uint32_t offset = 0;  // of the first byte in the text
  uint32_t next = 0;    // index of the first node that is not below this one
  uint64_t number = 0;
};

class JsonTree {
 public:
  struct Limits {
    size_t bytes;   // of the text, below 2^32
    size_t depth;   // of arrays and objects in each other
    size_t values;  // and keys
  };

  // Errors: kInvalidArgument `SOURCE:LINE:COLUMN: cause` for what isn't JSON or
  // is beyond the limits. `text` must outlive the tree. A byte order mark at
  // the start is ignored.
  static absl::StatusOr<JsonTree> Parse(absl::string_view text,
                                        absl::string_view source,
                                        const Limits& limits);

  // All nodes, each before those below it; the first is the whole.
  const std::vector<JsonNode>& nodes() const { return nodes_; }

  // Requires kString or kKey.
  const std::string& String(const JsonNode& node) const {
    return strings_[node.number];
  }

  // The value for a message: `null`, `-7`, `"text"`, `an array`. Safe to print.
  std::string Describe(const JsonNode& node) const;

  // "LINE:COLUMN", both from 1, the column in bytes.
  std::string Position(const JsonNode& node) const;

 private:
  class Builder;

  absl::string_view text_;
  std::vector<JsonNode> nodes_;
  std::vector<std::string> strings_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_MODEL_JSON_TREE_H_
