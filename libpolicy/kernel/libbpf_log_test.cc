// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/libbpf_log.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace netpolicy {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

int others_words = 0;
int OthersPrint(libbpf_print_level, const char*, va_list) {
  return ++others_words;
}

// libbpf complains about it.
void OpenRubbish() {
  const char rubbish[] = "this is no object file";
  bpf_object__open_mem(rubbish, sizeof(rubbish), nullptr);
}

TEST(LibbpfLog, CollectsWarningsOfItsThreadOnly) {
  const libbpf_print_fn_t before = libbpf_set_print(OthersPrint);
  {
    const LibbpfLog log;
    std::thread(OpenRubbish).join();
    EXPECT_THAT(log.text(), IsEmpty());
    EXPECT_GT(others_words, 0);

    const int words = others_words;
    OpenRubbish();
    EXPECT_THAT(log.text(), HasSubstr("libbpf: "));
    EXPECT_THAT(log.LastWarning(), HasSubstr("elf"));
    EXPECT_EQ(others_words, words);
  }
  // As it was before.
  EXPECT_EQ(libbpf_set_print(before), &OthersPrint);
}

}  // namespace
}  // namespace netpolicy
