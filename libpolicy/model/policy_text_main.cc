// Prints what becomes of a policy file, for goldens.
//
// Usage: policy_text image|json FILE

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/model/document.h"
#include "libpolicy/model/image.h"

int main(int argc, char** argv) {
  const absl::string_view form = argc == 3 ? argv[1] : "";
  if (form != "image" && form != "json") {
    std::fprintf(stderr, "usage: policy_text image|json FILE\n");
    return 2;
  }
  std::ifstream file(argv[2], std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    std::fprintf(stderr, "read %s: failed\n", argv[2]);
    return 1;
  }
  const absl::StatusOr<netpolicy::PolicyDocument> document =
      netpolicy::ParsePolicyJson(text, argv[2]);
  const absl::StatusOr<netpolicy::Policy> policy =
      document.ok() ? netpolicy::Validate(*document) : document.status();
  if (!policy.ok()) {
    std::fprintf(stderr, "%s\n",
                 std::string(policy.status().message()).c_str());
    return 1;
  }
  const std::string out =
      form == "image"
          ? netpolicy::ImageToText(netpolicy::Compile(*policy).value())
          : netpolicy::ToJson(netpolicy::ToDocument(*policy));
  std::fputs(out.c_str(), stdout);
  return 0;
}
