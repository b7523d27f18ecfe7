// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/stats_text.h"

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "netd/cli/names.h"
#include "netd/cli/text_table.h"

namespace netpolicy::cli {
namespace {

Json CountersJson(const TrafficCounters& counters) {
  return {{"packets", counters.packets},
          {"bytes", counters.bytes},
          {"skbs", counters.skbs},
          {"skb_bytes", counters.skb_bytes}};
}

std::string InterfaceText(IfIndex ifindex, Names& names) {
  if (ToInt(ifindex) == 0) return "any (uid's own row)";
  const absl::optional<std::string> name = names.InterfaceName(ifindex);
  return name.has_value()
             ? absl::StrCat(ToInt(ifindex), " (", Printable(*name), ")")
             : absl::StrCat(ToInt(ifindex));
}

// A tag in its usual spelling.
std::string TagText(uint32_t tag) {
  return tag == 0 ? "untagged" : absl::StrCat("0x", absl::Hex(tag));
}

}  // namespace

std::string SubjectText(uint32_t subject, StatsCommand::By by,
                        Session& session) {
  switch (by) {
    case StatsCommand::By::kUid:
      return session.Who(Uid{subject});
    case StatsCommand::By::kInterface:
      return InterfaceText(IfIndex{subject}, session.names());
    case StatsCommand::By::kTag:
      return TagText(subject);
    case StatsCommand::By::kCounterSet:
      break;
  }
  return absl::StrCat(subject);
}

const char* SubjectTitle(StatsCommand::By by) {
  switch (by) {
    case StatsCommand::By::kUid:
      return "uid";
    case StatsCommand::By::kInterface:
      return "interface";
    case StatsCommand::By::kTag:
      return "tag";
    case StatsCommand::By::kCounterSet:
      break;
  }
  return "counter set";
}

Json SubjectJson(uint32_t subject, StatsCommand::By by, Names& names) {
  if (by == StatsCommand::By::kUid) return UidJson(Uid{subject}, names);
  Json json = {{std::string(SubjectName(by)), subject}};
  if (by == StatsCommand::By::kInterface) {
    if (const absl::optional<std::string> name =
            names.InterfaceName(IfIndex{subject})) {
      json["interface"] = TextJson(*name);
    }
  }
  return json;
}

Json SumJson(const Sum& sum) {
  return {{"rx", CountersJson(sum.rx)}, {"tx", CountersJson(sum.tx)}};
}

Json RefusedJson(const Refused& refused) {
  return {{"ingress", refused.ingress},
          {"egress", refused.egress},
          {"socket_create", refused.socket_create},
          {"connect", refused.connect},
          {"bind", refused.bind}};
}

}  // namespace netpolicy::cli
