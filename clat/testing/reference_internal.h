// SPDX-License-Identifier: Apache-2.0
//
// The two halves of the reference translator.

#ifndef NETPOLICY_CLAT_TESTING_REFERENCE_INTERNAL_H_
#define NETPOLICY_CLAT_TESTING_REFERENCE_INTERNAL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "clat/testing/reference_translator.h"
#include "clat/translator_config.h"

namespace netpolicy::clat::testing {

Reference TranslateFourToSix(const TranslatorConfig& config,
                             absl::string_view packet);
Reference TranslateSixToFour(const TranslatorConfig& config,
                             absl::string_view packet);

inline Reference Drop(absl::string_view why) {
  Reference result;
  result.note = std::string(why);
  return result;
}

inline Reference Untouched(absl::string_view packet) {
  Reference result;
  result.packets.emplace_back(packet);
  result.note = "not ours";
  return result;
}

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_REFERENCE_INTERNAL_H_
