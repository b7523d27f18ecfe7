// SPDX-License-Identifier: Apache-2.0
//
// Whatever is in the file of quotas: it is refused, or it is what is written
// again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "netd/daemon/quota_file.h"
#include "netd/daemon/sealed_file.h"

namespace {

void Check(bool condition) {
  if (!condition) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  // As it is, and with a right checksum in front.
  const netpolicy::Seal seal = {
      .magic = "netpolicy-quotas", .version = 1, .what = "", .what_of = ""};
  for (const std::string& content :
       {std::string(bytes), netpolicy::SealBytes(seal, bytes)}) {
    const absl::StatusOr<netpolicy::QuotaState> state =
        netpolicy::DecodeQuotaState(content, "x");
    if (!state.ok()) continue;
    const std::string again = netpolicy::EncodeQuotaState(*state);
    const absl::StatusOr<netpolicy::QuotaState> second =
        netpolicy::DecodeQuotaState(again, "x");
    Check(second.ok());
    Check(netpolicy::EncodeQuotaState(*second) == again);
  }
  return 0;
}
