// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/options.h"

#include <grp.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/version.h"
#include "libpolicy/model/faults.h"
#include "libpolicy/model/json_tree.h"
#include "netd/daemon/file.h"

namespace netpolicy {
namespace {

constexpr size_t kMaxConfigBytes = 64 << 10;

// One name, one description, for the flag and for the key.
struct StringSetting {
  const char* key;
  const char* meaning;
  absl::optional<std::string> DaemonSettings::*value;
};
struct NumberSetting {
  const char* key;
  const char* meaning;
  absl::optional<uint32_t> DaemonSettings::*value;
};

constexpr StringSetting kStrings[] = {
    {"cgroup", "cgroup v2 directory to govern (default: the mount's root)",
     &DaemonSettings::cgroup},
    {"pin_dir", "bpffs directory of the pins (default: /sys/fs/bpf/netpolicy)",
     &DaemonSettings::pin_dir},
    {"socket", "socket to serve (default: /run/netd/netd.sock)",
     &DaemonSettings::socket},
    {"socket_mode", "its permissions, octal (default: 0666)",
     &DaemonSettings::socket_mode},
    {"state",
     "file that keeps the policy over a reboot "
     "(default: /var/lib/netd/policy.state)",
     &DaemonSettings::state},
    {"read_group", "group, name or number, that may read policy and counters",
     &DaemonSettings::read_group},
    {"change_group", "group, name or number, that may also change the policy",
     &DaemonSettings::change_group},
    {"clat_interfaces",
     "uplinks to get IPv4 over IPv6 on (464XLAT) where they have no other: "
     "shell patterns, separated by commas; '': only those that ndc starts "
     "(default: none at all)",
     &DaemonSettings::clat_interfaces},
    {"clat_prefix", "of the NAT64 of these uplinks (default: found out)",
     &DaemonSettings::clat_prefix},
    {"clat_dns_servers",
     "that are asked for the prefix where no router tells it, separated by "
     "commas (default: those of /etc/resolv.conf)",
     &DaemonSettings::clat_dns_servers},
};

constexpr NumberSetting kNumbers[] = {
    {"max_uids", "UIDs that a policy may mention (default: 16384)",
     &DaemonSettings::max_uids},
    {"max_rows", "rows of traffic counters (default: 16384)",
     &DaemonSettings::max_rows},
    {"max_rows_per_uid",
     "of these that one UID may take (default: 0, a quarter)",
     &DaemonSettings::max_rows_per_uid},
    {"max_uid_rows", "rows for UIDs that get no more of these (default: 2048)",
     &DaemonSettings::max_uid_rows},
    {"max_drops", "rows of drop counters (default: 4096)",
     &DaemonSettings::max_drops},
    {"usage_seconds",
     "how often usage is stored, in seconds; 0: never (default: 60)",
     &DaemonSettings::usage_seconds},
    {"usage_hours_kept",
     "days for which usage is kept by the hour; 0: for ever (default: 31)",
     &DaemonSettings::usage_hours_kept},
    {"usage_days_kept",
     "days for which it is kept by the day; 0: for ever (default: 400)",
     &DaemonSettings::usage_days_kept},
    {"usage_months_kept",
     "days for which it is kept by the month; 0: for ever (default: 0)",
     &DaemonSettings::usage_months_kept},
};

std::string FlagOf(absl::string_view key) {
  std::string flag = absl::StrCat("--", key);
  for (char& c : flag) {
    if (c == '_') c = '-';
  }
  return flag;
}

// Takes the value of a member of the configuration file.
std::string TakeMember(const JsonTree& tree, const JsonNode& key,
                       const JsonNode& value, DaemonSettings& settings) {
  const std::string& name = tree.String(key);
  for (const StringSetting& setting : kStrings) {
    if (name != setting.key) continue;
    absl::optional<std::string>& target = settings.*setting.value;
    if (target.has_value()) return "repeated";
    if (value.kind != JsonNode::Kind::kString) {
      return absl::StrCat("expected a string, found ", tree.Describe(value));
    }
    target = tree.String(value);
    return "";
  }
  for (const NumberSetting& setting : kNumbers) {
    if (name != setting.key) continue;
    absl::optional<uint32_t>& target = settings.*setting.value;
    if (target.has_value()) return "repeated";
    if (value.kind != JsonNode::Kind::kUnsigned ||
        value.number > std::numeric_limits<uint32_t>::max()) {
      return absl::StrCat("expected a number from 0 to 4294967295, found ",
                          tree.Describe(value));
    }
    target = static_cast<uint32_t>(value.number);
    return "";
  }
  return "not a setting";
}

absl::StatusOr<gid_t> ParseGroup(absl::string_view key,
                                 const std::string& text) {
  // Names first, as chgrp does: a name may consist of digits.
  std::vector<char> buffer(1024);
  group entry = {};
  group* found = nullptr;
  int error = 0;
  while ((error = getgrnam_r(text.c_str(), &entry, buffer.data(), buffer.size(),
                             &found)) == ERANGE) {
    buffer.resize(2 * buffer.size());
  }
  if (found != nullptr) return found->gr_gid;
  gid_t gid = 0;
  // The last one means "no group" to the kernel.
  if (absl::SimpleAtoi(text, &gid) &&
      gid != std::numeric_limits<gid_t>::max()) {
    return gid;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("set ", key, ": there is no group '", text, "'"));
}

absl::StatusOr<mode_t> ParseMode(absl::string_view key,
                                 const std::string& text) {
  mode_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7' || mode > 0777) {
      mode = 01000;
      break;
    }
    mode = mode * 8 + static_cast<mode_t>(c - '0');
  }
  if (!text.empty() && mode <= 0777) return mode;
  return absl::InvalidArgumentError(absl::StrCat(
      "set ", key, ": expected an octal mode up to 0777, found '", text, "'"));
}

// Errors name the setting by its key.
absl::Status Apply(const DaemonSettings& settings, DaemonOptions& options) {
  const auto copy = [](const auto& from, auto& to) {
    if (from.has_value()) to = *from;
  };
  copy(settings.cgroup, options.engine.cgroup);
  copy(settings.pin_dir, options.engine.pin_dir);
  copy(settings.socket, options.socket);
  copy(settings.state, options.state);
  copy(settings.max_uids, options.engine.max_uids);
  copy(settings.max_rows, options.engine.max_rows);
  copy(settings.max_rows_per_uid, options.engine.max_rows_per_uid);
  copy(settings.max_uid_rows, options.engine.max_uid_rows);
  copy(settings.max_drops, options.engine.max_drops);
  copy(settings.usage_seconds, options.usage_seconds);
  for (const auto& [key, from, to] :
       {std::tuple("usage_hours_kept", &settings.usage_hours_kept,
                   &options.usage_hours_kept),
        std::tuple("usage_days_kept", &settings.usage_days_kept,
                   &options.usage_days_kept),
        std::tuple("usage_months_kept", &settings.usage_months_kept,
                   &options.usage_months_kept)}) {
    copy(*from, *to);
    if (*to > 36500) {
      return absl::InvalidArgumentError(absl::StrCat(
          "set ", key, ": expected up to 36500 days, found ", *to));
    }
  }
  if (settings.socket_mode.has_value()) {
    NP_ASSIGN_OR_RETURN(options.socket_mode,
                        ParseMode("socket_mode", *settings.socket_mode));
  }
  if (settings.read_group.has_value()) {
    NP_ASSIGN_OR_RETURN(options.read_group,
                        ParseGroup("read_group", *settings.read_group));
    options.engine.pin_group = options.read_group;
  }
  if (settings.change_group.has_value()) {
    NP_ASSIGN_OR_RETURN(options.change_group,
                        ParseGroup("change_group", *settings.change_group));
  }
  if (settings.clat_interfaces.has_value()) {
    options.clat_interfaces = std::vector<std::string>(
        absl::StrSplit(*settings.clat_interfaces, ',', absl::SkipWhitespace()));
  }
  if (settings.clat_prefix.has_value()) {
    const auto prefix = clat::Pref64::Parse(*settings.clat_prefix);
    if (!prefix.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("set clat_prefix: ", prefix.status().message()));
    }
    options.clat_prefix = *prefix;
  }
  if (settings.clat_dns_servers.has_value()) {
    options.clat_dns_servers =
        absl::StrSplit(*settings.clat_dns_servers, ',', absl::SkipWhitespace());
  }
  for (const auto& [key, value] : {std::pair<const char*, const std::string&>{
                                       "pin_dir", options.engine.pin_dir},
                                   {"socket", options.socket},
                                   {"state", options.state}}) {
    if (value.empty() || value[0] != '/') {
      return absl::InvalidArgumentError(absl::StrCat(
          "set ", key, ": expected an absolute path, found '", value, "'"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DaemonSettings> ParseSettings(absl::string_view text,
                                             absl::string_view source) {
  NP_ASSIGN_OR_RETURN(
      const JsonTree tree,
      JsonTree::Parse(text, source,
                      {.bytes = kMaxConfigBytes, .depth = 4, .values = 1000}));
  const std::vector<JsonNode>& nodes = tree.nodes();
  Faults faults;
  const auto fault = [&](const JsonNode& node, absl::string_view cause) {
    faults.Add(absl::StrCat(source, ":", tree.Position(node), ": ", cause));
  };
  DaemonSettings settings;
  if (nodes[0].kind != JsonNode::Kind::kObject) {
    fault(nodes[0],
          absl::StrCat("expected an object, found ", tree.Describe(nodes[0])));
    return faults.status();
  }
  for (uint32_t i = 1; i < nodes[0].next; i = nodes[i + 1].next) {
    const std::string cause =
        TakeMember(tree, nodes[i], nodes[i + 1], settings);
    if (!cause.empty()) {
      fault(nodes[i], absl::StrCat(tree.String(nodes[i]), ": ", cause));
    }
  }
  NP_RETURN_IF_ERROR(faults.status());
  return settings;
}

absl::StatusOr<DaemonOptions> ParseOptions(int argc, const char* const* argv) {
  DaemonOptions options;
  DaemonSettings flags;
  std::string config;
  bool detach = false;

  CLI::App app(
      "netd enforces a network policy per UID, counts traffic and serves both "
      "on a socket.\nThe policy stays in force when netd ends; --detach ends "
      "it.",
      "netd");
  app.set_version_flag("--version", absl::StrCat("netd ", kVersion));
  app.set_help_flag("--help,-h", "print this and exit");
  for (const StringSetting& setting : kStrings) {
    app.add_option_function<std::string>(
        FlagOf(setting.key),
        [&flags, &setting](const std::string& value) {
          flags.*setting.value = value;
        },
        setting.meaning);
  }
  for (const NumberSetting& setting : kNumbers) {
    app.add_option_function<uint32_t>(
        FlagOf(setting.key),
        [&flags, &setting](uint32_t value) { flags.*setting.value = value; },
        setting.meaning);
  }
  app.add_option("--config", config,
                 "JSON file, comments allowed, with settings named as the "
                 "flags, '_' for '-'; flags win");
  app.add_flag("--detach", detach,
               "end enforcement, remove all pins, and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    options.action = DaemonAction::kPrintText;
    options.text = app.help();
    return options;
  } catch (const CLI::CallForVersion& version) {
    options.action = DaemonAction::kPrintText;
    options.text = absl::StrCat(version.what(), "\n");
    return options;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("read flags: ", error.what(), " (see netd --help)"));
  }
  if (!config.empty()) {
    NP_ASSIGN_OR_RETURN(const std::string text,
                        ReadFile(config, kMaxConfigBytes));
    NP_ASSIGN_OR_RETURN(const DaemonSettings settings,
                        ParseSettings(text, config));
    NP_RETURN_IF_ERROR(Apply(settings, options));
  }
  NP_RETURN_IF_ERROR(Apply(flags, options));
  if (detach) options.action = DaemonAction::kDetach;
  return options;
}

}  // namespace netpolicy
