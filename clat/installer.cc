// SPDX-License-Identifier: Apache-2.0

#include "clat/installer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy::clat {
namespace {

constexpr std::array<absl::string_view, 5> kTablePins = {
    "np_clat_inst", "np_clat_eam4", "np_clat_eam6", "np_clat_count",
    "np_clat_bucket"};

// As bpf_progs/clat.bpf.c has it.
absl::string_view ProgramName(TcHook hook, LinkType link) {
  if (hook == TcHook::kEgress) {
    return link == LinkType::kEthernet ? "np_clat46_eth" : "np_clat46_raw";
  }
  return link == LinkType::kEthernet ? "np_clat64_eth" : "np_clat64_raw";
}

template <typename Address, typename Wire>
Address FromWire(const Wire& wire) {
  Address address;
  static_assert(sizeof(wire) == sizeof(address.bytes));
  std::memcpy(address.bytes.data(), &wire, sizeof(wire));
  return address;
}

// Whether another interface has it, too.
bool IsElsewhere(const NetworkState& network, const Ipv4Address& address,
                 IfIndex ifindex) {
  return std::any_of(network.addresses4.begin(), network.addresses4.end(),
                     [&](const InterfaceAddress4& one) {
                       return one.address == address && one.ifindex != ifindex;
                     });
}

bool SameRoute(const DefaultRoute4& a, const DefaultRoute4& b) {
  return a.metric == b.metric && a.via6 == b.via6 && a.source == b.source &&
         a.mtu == b.mtu;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Installer>> Installer::Open(
    const std::string& pin_dir, const PinAccess& access) {
  NP_RETURN_IF_ERROR(MakePinDirectory(pin_dir, access));
  NP_ASSIGN_OR_RETURN(UniqueFd directory, OpenPinDirectory(pin_dir));
  NP_ASSIGN_OR_RETURN(DirectoryLock lock,
                      DirectoryLock::Acquire(directory.get(), pin_dir,
                                             DirectoryLock::Kind::kExclusive,
                                             absl::Seconds(1)));
  NP_ASSIGN_OR_RETURN(NetlinkSocket netlink, NetlinkSocket::Open());
  NP_ASSIGN_OR_RETURN(TranslatorObject translator,
                      TranslatorObject::LoadPinned(pin_dir));
  for (absl::string_view name : kTablePins) {
    NP_RETURN_IF_ERROR(SetPinAccess(absl::StrCat(pin_dir, "/", name), access));
  }
  return std::unique_ptr<Installer>(new Installer(
      pin_dir, std::move(directory), std::move(lock), std::move(netlink),
      LocalSockets::Open(), std::move(translator)));
}

absl::StatusOr<std::map<IfIndex, Identity>> Installer::Installed() const {
  NP_ASSIGN_OR_RETURN(const auto instances, translator_.ReadInstances());
  std::map<IfIndex, Identity> installed;
  for (const auto& [ifindex, instance] : instances) {
    NP_ASSIGN_OR_RETURN(
        const Pref64 prefix,
        Pref64::Create({FromWire<Ipv6Address>(instance.prefix),
                        static_cast<int>(instance.prefix_len)}));
    installed.emplace(ifindex,
                      Identity{prefix,
                               {FromWire<Ipv4Address>(instance.local4),
                                FromWire<Ipv6Address>(instance.local6)}});
  }
  return installed;
}

std::vector<PrefixPair> Installer::Mappings(IfIndex ifindex) const {
  std::vector<PrefixPair> pairs;
  auto instances = translator_.ReadInstances();
  const bool known = instances.ok() && instances->count(ifindex) != 0;
  for (const InstanceImage::Mapping& one : translator_.Mappings(ifindex)) {
    const PrefixPair pair{
        {FromWire<Ipv4Address>(one.value.prefix4), one.value.len4},
        {FromWire<Ipv6Address>(one.value.prefix6), one.value.len6}};
    if (known && pair.ip4.length == 32 &&
        pair.ip4.address ==
            FromWire<Ipv4Address>(instances->at(ifindex).local4)) {
      continue;
    }
    pairs.push_back(pair);
  }
  return pairs;
}

std::string Installer::LinkPin(const TcPlace& place) const {
  return absl::StrCat(pin_dir_, "/tc_", ToInt(place.ifindex),
                      place.hook == TcHook::kEgress ? "_egress" : "_ingress");
}

absl::Status Installer::WriteInstance(const UplinkPlan& plan) {
  NP_ASSIGN_OR_RETURN(const auto instances, translator_.ReadInstances());
  const auto now = instances.find(plan.ifindex);
  uint32_t slot = 0;
  if (now != instances.end()) {
    slot = now->second.slot;
  } else {
    std::set<uint32_t> used;
    for (const auto& [ifindex, instance] : instances) {
      used.insert(instance.slot);
    }
    while (used.count(slot) != 0) ++slot;
  }
  NP_ASSIGN_OR_RETURN(const InstanceImage image,
                      Compile(plan.config, plan.ifindex, slot));
  const std::vector<InstanceImage::Mapping> mappings =
      translator_.Mappings(plan.ifindex);
  const auto same = [](const auto& a, const auto& b) {
    return std::memcmp(&a, &b, sizeof(a)) == 0;
  };
  if (now != instances.end() && same(now->second, image.instance) &&
      std::is_permutation(mappings.begin(), mappings.end(),
                          image.mappings.begin(), image.mappings.end(), same)) {
    return absl::OkStatus();
  }
  if (now == instances.end()) {
    NP_RETURN_IF_ERROR(translator_.ResetCounters(slot));
  }
  return translator_.SetInstance(plan.ifindex, image);
}

// Translation to IPv6 goes last and translation to IPv4 first, so that other
// programs of the interface see IPv4 both ways, as the stack does.
absl::Status Installer::AttachPrograms(const UplinkPlan& plan) {
  for (TcHook hook : {TcHook::kIngress, TcHook::kEgress}) {
    const bool egress = hook == TcHook::kEgress;
    const TcPlace place{plan.ifindex, hook};
    const TcProgram program{
        .fd = translator_.ProgramFd(
            egress ? Direction::k4to6 : Direction::k6to4, plan.link),
        .name = std::string(ProgramName(hook, plan.link)),
        .order = egress ? TcOrder::kLast : TcOrder::kFirst};
    // For root alone: to give the pin to a group would take CAP_CHOWN.
    NP_RETURN_IF_ERROR(
        AttachTc(place, program, LinkPin(place), PinAccess{}).status());
  }
  return absl::OkStatus();
}

absl::Status Installer::SetRoute(const DefaultRoute4& route,
                                 const NetworkState& network) {
  bool there = false;
  for (const DefaultRoute4& one : network.routes4) {
    if (one.ifindex != route.ifindex || one.protocol != kRouteProtocol) {
      continue;
    }
    if (SameRoute(one, route)) {
      there = true;
      continue;
    }
    NP_RETURN_IF_ERROR(RemoveDefaultRoute4(netlink_, one));
  }
  if (there) return absl::OkStatus();
  return SetDefaultRoute4(netlink_, route);
}

absl::Status Installer::Install(const UplinkPlan& plan,
                                const NetworkState& network) {
  NP_ASSIGN_OR_RETURN(const auto installed, Installed());
  const AddressPair& pair = plan.config.pairs.front();
  const auto old = installed.find(plan.ifindex);
  if (old != installed.end() &&
      old->second != Identity{plan.config.prefix, pair}) {
    // By the way they came, where it still leads there: so the other side is
    // told, too.
    sockets_.EndConnections(old->second.pair.ip4);
  }
  NP_RETURN_IF_ERROR(WriteInstance(plan));
  NP_RETURN_IF_ERROR(AttachPrograms(plan));
  const bool has_address4 = std::any_of(
      network.addresses4.begin(), network.addresses4.end(),
      [&](const InterfaceAddress4& one) {
        return one.ifindex == plan.ifindex && one.address == pair.ip4;
      });
  if (!has_address4) {
    NP_RETURN_IF_ERROR(AddAddress4(netlink_, plan.ifindex, pair.ip4));
  }
  NP_RETURN_IF_ERROR(SetRoute(plan.route, network));

  // What the translation before had and this one has no more.
  if (old == installed.end()) return absl::OkStatus();
  if (old->second.pair.ip4 != pair.ip4) {
    NP_RETURN_IF_ERROR(
        RemoveAddress4(netlink_, plan.ifindex, old->second.pair.ip4));
    if (!IsElsewhere(network, old->second.pair.ip4, plan.ifindex)) {
      sockets_.EndAll(old->second.pair.ip4);
    }
  }
  if (old->second.pair.ip6 != pair.ip6) {
    NP_RETURN_IF_ERROR(RemoveAddress6(plan.ifindex, old->second.pair.ip6));
  }
  return absl::OkStatus();
}

absl::Status Installer::Remove(IfIndex ifindex, const NetworkState& network) {
  NP_ASSIGN_OR_RETURN(const auto installed, Installed());
  const auto old = installed.find(ifindex);
  if (old == installed.end()) return absl::OkStatus();
  // While there is a way to tell the other side.
  sockets_.EndConnections(old->second.pair.ip4);
  // From the application's end on, so that no packet leaves untranslated.
  for (const DefaultRoute4& route : network.routes4) {
    if (route.ifindex == ifindex && route.protocol == kRouteProtocol) {
      NP_RETURN_IF_ERROR(RemoveDefaultRoute4(netlink_, route));
    }
  }
  NP_RETURN_IF_ERROR(RemoveAddress4(netlink_, ifindex, old->second.pair.ip4));
  if (!IsElsewhere(network, old->second.pair.ip4, ifindex)) {
    sockets_.EndAll(old->second.pair.ip4);
  }
  for (TcHook hook : {TcHook::kIngress, TcHook::kEgress}) {
    const TcPlace place{ifindex, hook};
    for (LinkType link : {LinkType::kEthernet, LinkType::kRawIp}) {
      NP_RETURN_IF_ERROR(
          DetachTc(place, ProgramName(hook, link), LinkPin(place)));
    }
  }
  NP_RETURN_IF_ERROR(RemoveAddress6(ifindex, old->second.pair.ip6));
  // Last: what is left after a failure before is known by this entry.
  return translator_.RemoveInstance(ifindex);
}

absl::Status Installer::SetUpAddress6(const UplinkPlan& plan,
                                      const NetworkState& network) {
  const Ipv6Address& address = plan.config.pairs.front().ip6;
  if (plan.place == Local6Place::kRouted ||
      network.FindAddress(plan.ifindex, address) != nullptr) {
    return absl::OkStatus();
  }
  return AddAddress6(netlink_, plan.ifindex, address);
}

absl::Status Installer::RemoveAddress6(IfIndex ifindex,
                                       const Ipv6Address& address) {
  return clat::RemoveAddress6(netlink_, ifindex, address);
}

TcMethod Installer::Method(IfIndex ifindex) const {
  // Filters have no pins.
  const std::string pin = LinkPin({ifindex, TcHook::kEgress});
  return access(pin.c_str(), F_OK) == 0 ? TcMethod::kTcx : TcMethod::kFilter;
}

absl::StatusOr<np_clat_counters> Installer::ReadCounters(
    IfIndex ifindex) const {
  NP_ASSIGN_OR_RETURN(const auto instances, translator_.ReadInstances());
  const auto found = instances.find(ifindex);
  if (found == instances.end()) {
    return absl::NotFoundError(absl::StrCat("read counters of interface ",
                                            ToInt(ifindex),
                                            ": it does not translate"));
  }
  return translator_.ReadCounters(found->second.slot);
}

absl::Status Installer::RemovePins() {
  for (absl::string_view name : kTablePins) {
    NP_RETURN_IF_ERROR(Unpin(absl::StrCat(pin_dir_, "/", name)));
  }
  if (rmdir(pin_dir_.c_str()) != 0 && errno != ENOENT) {
    return StatusFromErrno(errno, absl::StrCat("remove directory ", pin_dir_));
  }
  return absl::OkStatus();
}

}  // namespace netpolicy::clat
