// SPDX-License-Identifier: Apache-2.0
//
// Which NAT64 prefixes are known of which uplink, where from, and until when.
//
//   table.Learn({ifindex, Source::kRouter, router}, prefix, now + lifetime);
//   table.Best(ifindex, now);
//
// In the order of RFC 9872: routers before DNS. (A prefix that was configured
// wins over both; it is not in here.) Pure; the caller has the clock.

#ifndef NETPOLICY_CLAT_PREFIX_TABLE_H_
#define NETPOLICY_CLAT_PREFIX_TABLE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clat/address.h"
#include "clat/prefix.h"
#include "libpolicy/model/ids.h"

namespace netpolicy::clat {

// Better ones come first.
enum class PrefixSource : uint8_t {
  kConfigured,
  kRouter,
  kDns,
  kAdopted,  // what was translated with before, until somebody tells again
};

// "configured", "router", "dns", "adopted".
absl::string_view PrefixSourceName(PrefixSource source);

struct KnownPrefix {
  IfIndex ifindex{};
  PrefixSource source = PrefixSource::kRouter;
  Ipv6Address router = {};  // who said so; zero but with kRouter
  Pref64 prefix;
  absl::Time expires;
};

class PrefixTable {
 public:
  // So many of an uplink are kept, so that a flood of advertisements costs
  // nothing: the one that expires first makes room.
  static constexpr size_t kMaxPerUplink = 16;

  // Adds it, or sets a new end. One that has expired by `now` goes away.
  void Learn(const KnownPrefix& known, absl::Time now);

  // What DNS said takes the place of what it had said before.
  void ForgetDns(IfIndex ifindex);
  // The uplink is gone, or has moved to another network.
  void Forget(IfIndex ifindex);

  // The one to use now: of the best source the one that was learned first, so
  // that it changes only when it must. Nothing when none is valid.
  std::optional<KnownPrefix> Best(IfIndex ifindex, absl::Time now) const;

  // Those that are valid now.
  std::vector<KnownPrefix> All(IfIndex ifindex, absl::Time now) const;

  // When Best() can change by itself; infinite future when it can't.
  absl::Time NextExpiry(absl::Time now) const;

 private:
  std::vector<KnownPrefix> known_;  // in the order of learning
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_PREFIX_TABLE_H_
