// SPDX-License-Identifier: Apache-2.0
//
// Addresses for the reference translator, bit by bit.

#ifndef NETPOLICY_CLAT_TESTING_REFERENCE_ADDRESSES_H_
#define NETPOLICY_CLAT_TESTING_REFERENCE_ADDRESSES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "clat/translator_config.h"

namespace netpolicy::clat::testing {

// Why an address has no counterpart.
enum class Trouble { kNone, kNoCounterpart, kNotGlobal };

struct Mapped {
  std::string address;
  Trouble trouble = Trouble::kNone;
};

template <typename Address>
std::string Raw(const Address& address) {
  return std::string(address.bytes.begin(), address.bytes.end());
}

// Whether the prefix may hold it.
Trouble CheckEmbedded(const TranslatorConfig& config, absl::string_view ip4);

// By pairs and explicit mappings alone.
std::optional<std::string> MapExplicitly6(const TranslatorConfig& config,
                                          absl::string_view ip4);
std::optional<std::string> MapExplicitly4(const TranslatorConfig& config,
                                          absl::string_view ip6);

// By these, else by the prefix.
Mapped To6(const TranslatorConfig& config, absl::string_view ip4);
Mapped To4(const TranslatorConfig& config, absl::string_view ip6);

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_REFERENCE_ADDRESSES_H_
