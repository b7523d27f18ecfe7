// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a packet: the headers found cover it, and its text reads back to
// the same bytes. Any bytes as text: read or refused.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libpolicy/testing/packet_text.h"

namespace netpolicy::testing {
namespace {

void Require(bool condition) {
  if (!condition) abort();
}

void CheckPacket(absl::string_view bytes, LinkType link) {
  size_t covered = 0;
  for (const PacketLayer& layer : DissectPacket(bytes, link)) {
    Require(layer.offset == covered && layer.size > 0);
    covered += layer.size;
  }
  Require(covered == bytes.size());
  const absl::StatusOr<std::vector<TextPacket>> read =
      ParsePackets(FormatPacket({"title", std::string(bytes)}, link));
  Require(read.ok());
  if (bytes.empty()) {
    Require(read->empty());
  } else {
    Require(read->size() == 1 && read->front().bytes == bytes);
  }
}

}  // namespace
}  // namespace netpolicy::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace netpolicy::testing;  // NOLINT(google-build-using-namespace)
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  CheckPacket(bytes, LinkType::kIp);
  CheckPacket(bytes, LinkType::kEthernet);
  (void)ParsePackets(bytes);
  return 0;
}
