// A policy file is refused, or goes all the way into the tables and back.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/document.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/image.h"

namespace {

void Require(bool condition) {
  if (!condition) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<netpolicy::PolicyDocument> document =
      netpolicy::ParsePolicyJson(text, "fuzz");
  if (!document.ok()) {
    Require(!document.status().message().empty());
    return 0;
  }
  // Small, so that an input costs little.
  netpolicy::PolicyLimits limits;
  limits.range_uids = 1000;
  limits.listed_uids = 5000;
  const absl::StatusOr<netpolicy::Policy> policy =
      netpolicy::Validate(*document, limits);
  if (!policy.ok()) {
    Require(!policy.status().message().empty());
    return 0;
  }

  // A policy may need more of something than tables have.
  const absl::StatusOr<netpolicy::MapImage> image = netpolicy::Compile(*policy);
  if (image.ok()) {
    const absl::StatusOr<netpolicy::Policy> read = netpolicy::Decompile(*image);
    Require(read.ok() && *read == *policy);
  }

  const std::string json =
      netpolicy::ToJson(netpolicy::ToDocument(*policy, limits));
  const absl::StatusOr<netpolicy::PolicyDocument> again =
      netpolicy::ParsePolicyJson(json, "fuzz");
  Require(again.ok());
  const absl::StatusOr<netpolicy::Policy> same =
      netpolicy::Validate(*again, limits);
  Require(same.ok() && netpolicy::Diff(*policy, *same).empty());
  return 0;
}
