// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/model/interface_names.h"

#include <utility>

#include "libpolicy/model/interface.h"

namespace netpolicy {
namespace {

// Classes stand for patterns that are collected themselves.
void Add(const std::string& selector, std::vector<std::string>& patterns) {
  if (selector.empty() || selector == "*" || selector[0] == '@') return;
  patterns.push_back(selector);
}

void Add(const Selectors& selectors, std::vector<std::string>& patterns) {
  for (const std::string& selector : selectors) Add(selector, patterns);
}

void Add(const NetworkRules& rules, std::vector<std::string>& patterns) {
  for (const NetworkRule& rule : rules) Add(rule.interface, patterns);
}

}  // namespace

std::vector<std::string> InterfacePatterns(const Policy& policy) {
  std::vector<std::string> patterns;
  const NetworkPolicy& network = policy.network();
  for (const Interface& interface : network.interfaces) {
    patterns.push_back(interface.name);
  }
  for (const IngressDiscard& discard : network.ingress_discard) {
    Add(discard.interfaces, patterns);
  }
  Add(network.local_network, patterns);
  Add(policy.defaults().interfaces, patterns);
  Add(policy.defaults().network_rules, patterns);
  for (const auto& [uid, own] : policy.uids()) {
    Add(own.interfaces, patterns);
    Add(own.network_rules, patterns);
  }
  return Canonical(std::move(patterns));
}

bool MatchesAny(const std::vector<std::string>& patterns,
                absl::string_view name) {
  for (const std::string& pattern : patterns) {
    if (MatchesPattern(pattern, name)) return true;
  }
  return false;
}

}  // namespace netpolicy
