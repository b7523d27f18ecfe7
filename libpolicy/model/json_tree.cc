#include "libpolicy/model/json_tree.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/text.h"

namespace netpolicy {
namespace {

std::string PositionOf(absl::string_view text, size_t offset) {
  const absl::string_view before = text.substr(0, offset);
  const size_t line =
      1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t newline = before.rfind('\n');
  const size_t column =
      newline == absl::string_view::npos ? offset + 1 : offset - newline;
  return absl::StrCat(line, ":", column);
}

// How long the number or literal is that `text` begins with (RFC 8259, 3 and
// 6).
size_t LiteralLength(absl::string_view text) {
  for (const absl::string_view literal : {"null", "true", "false"}) {
    if (absl::StartsWith(text, literal)) return literal.size();
  }
  size_t at = 0;
  const auto skip = [&](absl::string_view any) {
    const bool is = at < text.size() && any.find(text[at]) != any.npos;
    at += is ? 1 : 0;
    return is;
  };
  constexpr absl::string_view kDigits = "0123456789";
  skip("-");
  if (!skip("0")) {
    while (skip(kDigits)) {
    }
  }
  if (skip(".")) {
    while (skip(kDigits)) {
    }
  }
  if (skip("eE")) {
    skip("+-");
    while (skip(kDigits)) {
    }
  }
  return at;
}

}  // namespace

// Takes nlohmann's parser events. Those carry no position, so a cursor follows
// the parser through the text: it only ever passes what the parser has accepted
// already.
class JsonTree::Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(absl::string_view source, const Limits& limits, JsonTree& tree)
      : source_(source), limits_(limits), tree_(tree), text_(tree.text_) {
    if (absl::StartsWith(text_, "\xef\xbb\xbf")) cursor_ = 3;
  }

  const absl::Status& status() const { return status_; }

  bool null() override { return Literal(JsonNode::Kind::kNull, 0); }
  bool boolean(bool value) override {
    return Literal(JsonNode::Kind::kBool, value ? 1 : 0);
  }
  // Only negative numbers.
  bool number_integer(number_integer_t) override {
    return Literal(JsonNode::Kind::kNumber, 0);
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Literal(JsonNode::Kind::kUnsigned, value);
  }
  bool number_float(number_float_t, const string_t&) override {
    return Literal(JsonNode::Kind::kNumber, 0);
  }
  bool string(string_t& value) override {
    return String(JsonNode::Kind::kString, value);
  }
  bool key(string_t& value) override {
    return String(JsonNode::Kind::kKey, value);
  }
  // JSON text has none.
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(JsonNode::Kind::kObject); }
  bool start_array(size_t) override { return Open(JsonNode::Kind::kArray); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    absl::string_view cause = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: cause"
    const bool syntax = absl::StrContains(cause, "] parse error at ");
    cause.remove_prefix(std::min(cause.size(), cause.find("] ") + 2));
    if (syntax) {
      cause.remove_prefix(std::min(cause.size(), cause.find(": ") + 2));
    }
    // The lexer and single characters end at the very byte, other tokens begin
    // at the cursor. What the lexer has read is in the file.
    const size_t read = cause.find("; last read: ");
    const bool exact =
        read != kNpos || absl::StrContains(cause, "unexpected '");
    SkipToToken();
    const size_t at = exact && position > 0 ? position - 1 : cursor_;
    return Fail(std::min(at, text_.size()), cause.substr(0, read));
  }

  bool Fail(size_t offset, absl::string_view cause) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(source_, ":", PositionOf(text_, offset), ": ", cause));
    return false;
  }

 private:
  static constexpr size_t kNpos = absl::string_view::npos;

  // Moves the cursor over what may stand before a token.
  void SkipToToken() {
    while (cursor_ < text_.size()) {
      const absl::string_view rest = text_.substr(cursor_);
      if (absl::StartsWith(rest, "//")) {
        cursor_ += std::min(rest.find_first_of("\r\n"), rest.size());
      } else if (absl::StartsWith(rest, "/*")) {
        const size_t end = rest.find("*/", 2);
        cursor_ += end == kNpos ? rest.size() : end + 2;
      } else if (absl::string_view(" \t\r\n,:").find(rest[0]) != kNpos) {
        ++cursor_;
      } else {
        return;
      }
    }
  }

  // Adds a node for the token at the cursor.
  bool Add(JsonNode::Kind kind, uint64_t number) {
    SkipToToken();
    if (tree_.nodes_.size() >= limits_.values) {
      return Fail(cursor_, absl::StrCat("more than ", limits_.values,
                                        " values and names"));
    }
    JsonNode node;
    node.kind = kind;
    node.offset = static_cast<uint32_t>(cursor_);
    node.next = static_cast<uint32_t>(tree_.nodes_.size() + 1);
    node.number = number;
    tree_.nodes_.push_back(node);
    return true;
  }

  bool Literal(JsonNode::Kind kind, uint64_t number) {
    if (!Add(kind, number)) return false;
    cursor_ += LiteralLength(text_.substr(cursor_));
    return true;
  }

  bool String(JsonNode::Kind kind, std::string& value) {
    if (!Add(kind, tree_.strings_.size())) return false;
    tree_.strings_.push_back(std::move(value));
    ++cursor_;
    while (cursor_ < text_.size() && text_[cursor_] != '"') {
      cursor_ += text_[cursor_] == '\\' ? 2 : 1;
    }
    ++cursor_;
    return true;
  }

  bool Open(JsonNode::Kind kind) {
    if (!Add(kind, 0)) return false;
    if (open_.size() == limits_.depth) {
      return Fail(cursor_, absl::StrCat("more than ", limits_.depth,
                                        " arrays and objects in each other"));
    }
    open_.push_back(tree_.nodes_.size() - 1);
    ++cursor_;
    return true;
  }

  bool Close() {
    SkipToToken();
    ++cursor_;
    tree_.nodes_[open_.back()].next =
        static_cast<uint32_t>(tree_.nodes_.size());
    open_.pop_back();
    return true;
  }

  const absl::string_view source_;
  const Limits limits_;
  JsonTree& tree_;
  const absl::string_view text_;
  size_t cursor_ = 0;
  std::vector<size_t> open_;  // arrays and objects around the cursor
  absl::Status status_;
};

absl::StatusOr<JsonTree> JsonTree::Parse(absl::string_view text,
                                         absl::string_view source,
                                         const Limits& limits) {
  if (text.size() > limits.bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ":1:1: ", text.size(), " bytes, at most ",
                     limits.bytes, " allowed"));
  }
  JsonTree tree;
  tree.text_ = text;
  Builder builder(source, limits, tree);
  // The parser would take it for the end of the text.
  if (const size_t nul = text.find('\0'); nul != absl::string_view::npos) {
    builder.Fail(nul, "a NUL byte");
    return builder.status();
  }
  const bool ok = nlohmann::json::sax_parse(
      text.begin(), text.end(), &builder, nlohmann::json::input_format_t::json,
      /*strict=*/true, /*ignore_comments=*/true);
  if (!ok) return builder.status();
  return tree;
}

std::string JsonTree::Describe(const JsonNode& node) const {
  constexpr size_t kLongest = 40;
  switch (node.kind) {
    case JsonNode::Kind::kArray:
      return "an array";
    case JsonNode::Kind::kObject:
      return "an object";
    case JsonNode::Kind::kString:
    case JsonNode::Kind::kKey:
      return Quote(String(node));
    default:
      break;
  }
  const absl::string_view rest = text_.substr(node.offset);
  const absl::string_view literal = rest.substr(0, LiteralLength(rest));
  return absl::StrCat(literal.substr(0, kLongest),
                      literal.size() > kLongest ? "..." : "");
}

std::string JsonTree::Position(const JsonNode& node) const {
  return PositionOf(text_, node.offset);
}

}  // namespace netpolicy
