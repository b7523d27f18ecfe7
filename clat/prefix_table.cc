// SPDX-License-Identifier: Apache-2.0

#include "clat/prefix_table.h"

#include <algorithm>

namespace netpolicy::clat {

absl::string_view PrefixSourceName(PrefixSource source) {
  switch (source) {
    case PrefixSource::kConfigured:
      return "configured";
    case PrefixSource::kRouter:
      return "router";
    case PrefixSource::kDns:
      return "dns";
    case PrefixSource::kAdopted:
      return "adopted";
  }
  return "unknown";
}

void PrefixTable::Learn(const KnownPrefix& known, absl::Time now) {
  known_.erase(std::remove_if(
                   known_.begin(), known_.end(),
                   [&](const KnownPrefix& one) { return one.expires <= now; }),
               known_.end());
  const auto same =
      std::find_if(known_.begin(), known_.end(), [&](const KnownPrefix& one) {
        return one.ifindex == known.ifindex && one.source == known.source &&
               one.router == known.router && one.prefix == known.prefix;
      });
  if (known.expires <= now) {
    if (same != known_.end()) known_.erase(same);
    return;
  }
  if (same != known_.end()) {
    same->expires = known.expires;
    return;
  }
  const auto is_of_uplink = [&](const KnownPrefix& one) {
    return one.ifindex == known.ifindex;
  };
  if (static_cast<size_t>(std::count_if(known_.begin(), known_.end(),
                                        is_of_uplink)) >= kMaxPerUplink) {
    auto first = known_.end();
    for (auto it = known_.begin(); it != known_.end(); ++it) {
      if (is_of_uplink(*it) &&
          (first == known_.end() || it->expires < first->expires)) {
        first = it;
      }
    }
    known_.erase(first);
  }
  known_.push_back(known);
}

void PrefixTable::ForgetDns(IfIndex ifindex) {
  known_.erase(std::remove_if(known_.begin(), known_.end(),
                              [&](const KnownPrefix& one) {
                                return one.ifindex == ifindex &&
                                       one.source == PrefixSource::kDns;
                              }),
               known_.end());
}

void PrefixTable::Forget(IfIndex ifindex) {
  known_.erase(std::remove_if(known_.begin(), known_.end(),
                              [&](const KnownPrefix& one) {
                                return one.ifindex == ifindex;
                              }),
               known_.end());
}

std::vector<KnownPrefix> PrefixTable::All(IfIndex ifindex,
                                          absl::Time now) const {
  std::vector<KnownPrefix> all;
  for (const KnownPrefix& one : known_) {
    if (one.ifindex == ifindex && one.expires > now) all.push_back(one);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const KnownPrefix& a, const KnownPrefix& b) {
                     return a.source < b.source;
                   });
  return all;
}

std::optional<KnownPrefix> PrefixTable::Best(IfIndex ifindex,
                                             absl::Time now) const {
  std::vector<KnownPrefix> all = All(ifindex, now);
  if (all.empty()) return std::nullopt;
  return all.front();
}

absl::Time PrefixTable::NextExpiry(absl::Time now) const {
  absl::Time next = absl::InfiniteFuture();
  for (const KnownPrefix& one : known_) {
    if (one.expires > now) next = std::min(next, one.expires);
  }
  return next;
}

}  // namespace netpolicy::clat
