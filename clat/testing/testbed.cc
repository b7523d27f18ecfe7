// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/testbed.h"

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libpolicy/base/status_macros.h"

namespace netpolicy::clat::testing {

using netpolicy::testing::NetNamespace;
using netpolicy::testing::ScratchDir;
using netpolicy::testing::VethPair;

namespace {

constexpr char kTayga[] = "/usr/sbin/tayga";

absl::StatusOr<std::unique_ptr<NetNamespace>> NewNamespace() {
  NP_ASSIGN_OR_RETURN(NetNamespace ns, NetNamespace::Create());
  return std::make_unique<NetNamespace>(std::move(ns));
}

}  // namespace

absl::Status Testbed::ConnectHost(UplinkKind kind) {
  if (kind == UplinkKind::kRawIp) {
    NP_ASSIGN_OR_RETURN(TunPair uplink,
                        TunPair::Create(*host_, "eth0", *router_, "down0"));
    raw_uplink_.emplace(std::move(uplink));
    NP_RETURN_IF_ERROR(host_->AddAddress("eth0", kHost6, 64));
    NP_RETURN_IF_ERROR(router_->AddAddress("down0", kRouter6, 64));
    return host_->AddRoute({.device = "eth0", .family = AF_INET6});
  }
  NP_ASSIGN_OR_RETURN(
      VethPair uplink,
      VethPair::Create(
          *host_, *router_,
          {.left_name = "eth0",
           .right_name = "down0",
           .left_v4 = std::nullopt,
           .right_v4 = std::nullopt,
           .left_v6 = kHost6,
           .right_v6 = kRouter6,
           .neighbours = netpolicy::testing::Neighbours::kDiscovered}));
  uplink_.emplace(std::move(uplink));
  return host_->AddRoute({.via = kRouter6});
}

absl::StatusOr<Testbed> Testbed::Create(UplinkKind kind) {
  Testbed bed;
  NP_ASSIGN_OR_RETURN(ScratchDir scratch, ScratchDir::Create());
  bed.scratch_ = std::make_unique<ScratchDir>(std::move(scratch));
  NP_ASSIGN_OR_RETURN(bed.host_, NewNamespace());
  NP_ASSIGN_OR_RETURN(bed.router_, NewNamespace());
  NP_ASSIGN_OR_RETURN(bed.server_, NewNamespace());
  NP_RETURN_IF_ERROR(bed.ConnectHost(kind));
  NP_ASSIGN_OR_RETURN(VethPair internet,
                      VethPair::Create(*bed.router_, *bed.server_,
                                       {.left_name = "up0",
                                        .right_name = "eth0",
                                        .left_v4 = "203.0.113.1",
                                        .right_v4 = kServer4,
                                        .left_v6 = "2001:db8:2::1",
                                        .right_v6 = kServer6}));
  bed.internet_.emplace(std::move(internet));
  NP_RETURN_IF_ERROR(bed.server_->AddRoute({.via = "203.0.113.1"}));
  NP_RETURN_IF_ERROR(bed.server_->AddRoute({.via = "2001:db8:2::1"}));
  NP_RETURN_IF_ERROR(bed.router_->WriteSysctl("net/ipv4/ip_forward", "1"));
  NP_RETURN_IF_ERROR(
      bed.router_->WriteSysctl("net/ipv6/conf/all/forwarding", "1"));
  return bed;
}

std::optional<std::string> Testbed::MissingPlat() {
  for (const char* path : {kTayga, "/usr/sbin/ip", "/dev/net/tun"}) {
    if (access(path, R_OK) != 0) return absl::StrCat("needs ", path);
  }
  return std::nullopt;
}

absl::Status Testbed::StartPlat(const std::string& prefix) {
  plat_.reset();
  const std::string config = scratch_->File("tayga.conf");
  NP_RETURN_IF_ERROR(
      WriteFile(config, absl::StrCat("tun-device nat64\n"
                                     "ipv4-addr 192.168.255.1\n"
                                     "ipv6-addr 2001:db8:1:ffff::1\n"
                                     "prefix ",
                                     prefix,
                                     "\ndynamic-pool 192.168.255.0/24\n"
                                     "data-dir ",
                                     scratch_->path(), "\n")));
  NP_RETURN_IF_ERROR(
      Shell(*router_, absl::StrCat("ip link del nat64 2>/dev/null; ", kTayga,
                                   " --config ", config,
                                   " --mktun && ip link set nat64 up && "
                                   "ip route add 192.168.255.0/24 dev nat64 && "
                                   "ip -6 route add ",
                                   prefix, " dev nat64"))
          .status());
  NP_ASSIGN_OR_RETURN(auto child,
                      StartProgram(*router_, {kTayga, "--config", config, "-d"},
                                   scratch_->File("tayga.log")));
  plat_.emplace(std::move(child));
  return absl::OkStatus();
}

absl::Status Testbed::AddLan() {
  NP_ASSIGN_OR_RETURN(lan_, NewNamespace());
  NP_ASSIGN_OR_RETURN(VethPair cable,
                      VethPair::Create(*host_, *lan_,
                                       {.left_name = "lan0",
                                        .right_name = "eth0",
                                        .left_v4 = "10.9.0.1",
                                        .right_v4 = kLanHost4,
                                        .left_v6 = std::nullopt,
                                        .right_v6 = std::nullopt}));
  lan_cable_.emplace(std::move(cable));
  NP_RETURN_IF_ERROR(lan_->AddRoute({.via = "10.9.0.1"}));
  return host_->WriteSysctl("net/ipv4/ip_forward", "1");
}

absl::StatusOr<std::string> Testbed::Shell(const NetNamespace& ns,
                                           const std::string& command,
                                           absl::Duration limit) {
  NP_ASSIGN_OR_RETURN(ProgramResult result,
                      RunProgram(ns, {"/bin/sh", "-c", command}, limit));
  if (result.exit_code == 0) return result.output;
  return absl::InternalError(absl::StrCat(
      command, ": exit code ", result.exit_code, "\n", result.output));
}

absl::Status Testbed::Serve(const NetNamespace& ns,
                            const std::vector<std::string>& arguments) {
  NP_ASSIGN_OR_RETURN(
      auto child,
      StartProgram(ns, arguments,
                   scratch_->File(absl::StrCat("server", servers_.size()))));
  servers_.push_back(std::move(child));
  return absl::OkStatus();
}

}  // namespace netpolicy::clat::testing
