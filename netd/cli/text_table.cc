// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/text_table.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace netpolicy::cli {
namespace {

absl::string_view Sequence(Ink ink) {
  switch (ink) {
    case Ink::kPlain:
      return "";
    case Ink::kGood:
      return "\x1b[32m";
    case Ink::kBad:
      return "\x1b[1;31m";
    case Ink::kWarning:
      return "\x1b[33m";
    case Ink::kDim:
      return "\x1b[2m";
    case Ink::kStrong:
      return "\x1b[1m";
  }
  return "";
}

// Bytes of the UTF-8 character at the start of `text`; 0: there is none (RFC
// 3629, section 4).
size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char lead = byte(0);
  const size_t length = lead < 0x80                    ? 1
                        : lead >= 0xc2 && lead <= 0xdf ? 2
                        : lead >= 0xe0 && lead <= 0xef ? 3
                        : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return length;
}

// Columns of a terminal, one a character: names are short and wide characters
// rare.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  });
}

}  // namespace

std::string Paint(absl::string_view text, Ink ink, Colour colour) {
  if (colour == Colour::kNever || ink == Ink::kPlain || text.empty()) {
    return std::string(text);
  }
  return absl::StrCat(Sequence(ink), text, "\x1b[0m");
}

std::string Printable(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const unsigned char first = text[0];
    const size_t length = Utf8Length(text);
    // C1 controls are two bytes in UTF-8: c2 80 to c2 9f.
    const bool control = first < 0x20 || first == 0x7f ||
                         (length == 2 && first == 0xc2 &&
                          static_cast<unsigned char>(text[1]) < 0xa0);
    if (length == 0 || control) {
      for (size_t i = 0; i < std::max<size_t>(length, 1); ++i) {
        absl::StrAppendFormat(&out, "\\x%02x",
                              static_cast<unsigned char>(text[i]));
      }
    } else {
      absl::StrAppend(&out, text.substr(0, length));
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string TextTable::ToString(Colour colour, int indent) const {
  std::vector<size_t> widths(columns_.size(), 0);
  bool has_titles = false;
  for (size_t i = 0; i < columns_.size(); ++i) {
    widths[i] = Width(columns_[i].title);
    has_titles |= !columns_[i].title.empty();
  }
  for (const std::vector<Cell>& row : rows_) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i].text));
    }
  }

  std::string out;
  const auto add_line = [&](const std::vector<Cell>& row) {
    size_t last = 0;
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      if (!row[i].text.empty()) last = i + 1;
    }
    out.append(indent, ' ');
    for (size_t i = 0; i < last; ++i) {
      const size_t padding = widths[i] - Width(row[i].text);
      if (i > 0) out.append(2, ' ');
      if (columns_[i].align == kRight) out.append(padding, ' ');
      out += Paint(row[i].text, row[i].ink, colour);
      if (columns_[i].align == kLeft && i + 1 < last) out.append(padding, ' ');
    }
    out += '\n';
  };
  if (has_titles) {
    std::vector<Cell> titles;
    for (const Column& column : columns_) {
      titles.emplace_back(absl::AsciiStrToUpper(column.title), Ink::kStrong);
    }
    add_line(titles);
  }
  for (const std::vector<Cell>& row : rows_) add_line(row);
  return out;
}

}  // namespace netpolicy::cli
