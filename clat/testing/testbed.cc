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

absl::StatusOr<netpolicy::testing::ChildProcess> Testbed::StartNat64(
    const NetNamespace& ns, const Nat64& nat64) {
  const std::string config = scratch_->File(nat64.device + ".conf");
  const std::string data = scratch_->File(nat64.device);
  NP_RETURN_IF_ERROR(WriteFile(
      config,
      absl::StrCat("tun-device ", nat64.device, "\nipv4-addr ", nat64.own4,
                   "\nipv6-addr ", nat64.own6, "\nprefix ", nat64.prefix,
                   "\ndynamic-pool ", nat64.pool4, "\ndata-dir ", data, "\n")));
  NP_RETURN_IF_ERROR(
      Shell(ns, absl::StrCat("mkdir -p ", data, "; ip link del ", nat64.device,
                             " 2>/dev/null; ", kTayga, " --config ", config,
                             " --mktun && ip link set ", nat64.device,
                             " up && ip route add ", nat64.pool4, " dev ",
                             nat64.device, " && ip -6 route add ", nat64.prefix,
                             " dev ", nat64.device))
          .status());
  return StartProgram(ns, {kTayga, "--config", config, "-d"},
                      scratch_->File(nat64.device + ".log"));
}

absl::Status Testbed::StartPlat(const std::string& prefix) {
  plat_.reset();
  NP_ASSIGN_OR_RETURN(auto child,
                      StartNat64(*router_, {.device = "nat64",
                                            .prefix = prefix,
                                            .own4 = "192.168.255.1",
                                            .own6 = "2001:db8:1:ffff::1",
                                            .pool4 = "192.168.255.0/24"}));
  plat_.emplace(std::move(child));
  return absl::OkStatus();
}

absl::Status Testbed::AddPlat(const std::string& prefix) {
  NP_ASSIGN_OR_RETURN(auto child,
                      StartNat64(*router_, {.device = "beside",
                                            .prefix = prefix,
                                            .own4 = "192.168.253.1",
                                            .own6 = "2001:db8:1:fffd::1",
                                            .pool4 = "192.168.253.0/24"}));
  servers_.push_back(std::move(child));
  return absl::OkStatus();
}

absl::Status Testbed::AddUplink() {
  NP_ASSIGN_OR_RETURN(other_router_, NewNamespace());
  NP_ASSIGN_OR_RETURN(
      VethPair uplink,
      VethPair::Create(
          *host_, *other_router_,
          {.left_name = "eth1",
           .right_name = "down0",
           .left_v4 = std::nullopt,
           .right_v4 = std::nullopt,
           .left_v6 = "2001:db8:3::2",
           .right_v6 = "2001:db8:3::1",
           .neighbours = netpolicy::testing::Neighbours::kDiscovered}));
  other_uplink_.emplace(std::move(uplink));
  NP_ASSIGN_OR_RETURN(VethPair internet,
                      VethPair::Create(*other_router_, *server_,
                                       {.left_name = "up0",
                                        .right_name = "eth1",
                                        .left_v4 = "198.51.100.1",
                                        .right_v4 = "198.51.100.2",
                                        .left_v6 = std::nullopt,
                                        .right_v6 = std::nullopt}));
  other_internet_.emplace(std::move(internet));
  NP_RETURN_IF_ERROR(
      Shell(*host_,
            "ip -6 route add default via 2001:db8:3::1 dev eth1 metric 2048")
          .status());
  NP_RETURN_IF_ERROR(other_router_->AddRoute(
      {.destination = kServer4, .via = "198.51.100.2"}));
  NP_RETURN_IF_ERROR(server_->AddRoute({.destination = "192.168.254.0",
                                        .prefix_length = 24,
                                        .via = "198.51.100.1"}));
  NP_RETURN_IF_ERROR(other_router_->WriteSysctl("net/ipv4/ip_forward", "1"));
  NP_RETURN_IF_ERROR(
      other_router_->WriteSysctl("net/ipv6/conf/all/forwarding", "1"));
  NP_ASSIGN_OR_RETURN(
      auto child, StartNat64(*other_router_, {.device = "nat64b",
                                              .prefix = kOtherPrefix,
                                              .own4 = "192.168.254.1",
                                              .own6 = "2001:db8:3:ffff::1",
                                              .pool4 = "192.168.254.0/24"}));
  servers_.push_back(std::move(child));
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
