// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_TEXT_TABLE_H_
#define NETPOLICY_NETD_CLI_TEXT_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Text for the eye: colours when somebody looks, aligned columns.

namespace netpolicy::cli {

enum class Ink { kPlain, kGood, kBad, kWarning, kDim, kStrong };

// Whether escape sequences may be written.
enum class Colour { kNever, kAnsi };

// `text` in that colour, or as it is.
std::string Paint(absl::string_view text, Ink ink, Colour colour);

// `text` with every byte that could move a cursor, or that isn't UTF-8, as
// \xNN: names come from files and from other people's processes.
std::string Printable(absl::string_view text);

// Columns two blanks apart, as wide as their widest cell, with a header in
// capitals; nothing behind the last cell of a line.
//
//   TextTable table({{"uid", TextTable::kRight}, {"user"}});
//   table.AddRow({"10007", "alice"});
//   out += table.ToString(Colour::kNever);
class TextTable {
 public:
  enum Align { kLeft, kRight };

  struct Column {
    std::string title;
    Align align = kLeft;
  };
  struct Cell {
    // NOLINTNEXTLINE(google-explicit-constructor): most cells are plain text.
    Cell(std::string text, Ink ink = Ink::kPlain)
        : text(std::move(text)), ink(ink) {}
    // NOLINTNEXTLINE(google-explicit-constructor)
    Cell(const char* text) : text(text) {}

    std::string text;
    Ink ink = Ink::kPlain;
  };

  explicit TextTable(std::vector<Column> columns)
      : columns_(std::move(columns)) {}

  // A row may be shorter than the header.
  void AddRow(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }

  bool empty() const { return rows_.empty(); }

  // Every line ends with a newline. Without titles there is no header line.
  std::string ToString(Colour colour, int indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_TEXT_TABLE_H_
