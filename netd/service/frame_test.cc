// SPDX-License-Identifier: Apache-2.0

#include "netd/service/frame.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace netpolicy {
namespace {

TEST(Frame, LengthIsFourBytesMostSignificantFirst) {
  const struct {
    const char* name;
    uint32_t length;
    FrameHeader header;
  } kRows[] = {
      {"empty", 0, {0, 0, 0, 0}},
      {"one", 1, {0, 0, 0, 1}},
      {"each byte", 0x01020304, {1, 2, 3, 4}},
      {"high bits", 0x80ff00fe, {0x80, 0xff, 0x00, 0xfe}},
      {"largest", UINT32_MAX, {0xff, 0xff, 0xff, 0xff}},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(EncodeFrameHeader(row.length), row.header) << row.name;
    EXPECT_EQ(DecodeFrameHeader(row.header), row.length) << row.name;
  }
}

}  // namespace
}  // namespace netpolicy
