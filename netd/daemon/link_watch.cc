// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/link_watch.h"

#include <event2/event.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/model/interface_names.h"
#include "netd/daemon/log.h"

namespace netpolicy {

void LinkWatch::Free::operator()(event* e) const { event_free(e); }

absl::StatusOr<std::unique_ptr<LinkWatch>> LinkWatch::Open(Engine& engine,
                                                           event_base* base) {
  // Before looking, so that no change is between.
  NP_ASSIGN_OR_RETURN(NetlinkMonitor monitor,
                      NetlinkMonitor::Open({RTNLGRP_LINK}));
  auto watch =
      std::unique_ptr<LinkWatch>(new LinkWatch(engine, std::move(monitor)));
  NP_RETURN_IF_ERROR(watch->LookAtAll());
  watch->readable_.reset(event_new(base, watch->monitor_.fd(),
                                   EV_READ | EV_PERSIST, &OnReadable,
                                   watch.get()));
  watch->pause_.reset(event_new(base, -1, 0, &OnPauseOver, watch.get()));
  if (watch->readable_ == nullptr || watch->pause_ == nullptr ||
      event_add(watch->readable_.get(), nullptr) != 0) {
    return absl::ResourceExhaustedError("watch links: out of memory");
  }
  // While nobody watched, anything may have been renamed.
  for (const auto& [ifindex, name] : watch->names_) {
    watch->changed_.insert(name);
  }
  watch->Act();
  return watch;
}

absl::Status LinkWatch::LookAtAll() {
  NP_ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open());
  NP_ASSIGN_OR_RETURN(
      const std::vector<NetlinkMessage> links,
      socket.Dump(NetlinkRequest(RTM_GETLINK, 0, ifinfomsg{}), "list links"));
  std::map<uint32_t, std::string> before;
  std::swap(before, names_);
  for (const NetlinkMessage& link : links) {
    const auto header = link.Get<ifinfomsg>();
    const std::string name = NetlinkAttributes(link.Attributes(sizeof(header)))
                                 .FindText(IFLA_IFNAME);
    const auto ifindex = static_cast<uint32_t>(header.ifi_index);
    names_[ifindex] = name;
    const auto it = before.find(ifindex);
    if (it != before.end() && it->second == name) {
      before.erase(it);
    } else {
      changed_.insert(name);
    }
  }
  for (const auto& [ifindex, name] : before) changed_.insert(name);
  return absl::OkStatus();
}

// "": it is gone.
void LinkWatch::Rename(uint32_t ifindex, const std::string& name) {
  std::string& known = names_[ifindex];
  if (known != name) {
    if (!known.empty()) changed_.insert(known);
    if (!name.empty()) changed_.insert(name);
    known = name;
  }
  if (name.empty()) names_.erase(ifindex);
}

void LinkWatch::Process() {
  const absl::StatusOr<std::vector<NetlinkMessage>> messages = monitor_.Read();
  if (!messages.ok()) {
    const absl::Status looked = LookAtAll();
    if (!looked.ok()) Log("link_error", {{"error", looked.message()}});
  } else {
    for (const NetlinkMessage& message : *messages) {
      const auto header = message.Get<ifinfomsg>();
      // Bridges speak of their ports in the same group.
      if (header.ifi_family != AF_UNSPEC) continue;
      const auto ifindex = static_cast<uint32_t>(header.ifi_index);
      if (message.type() == RTM_DELLINK) Rename(ifindex, "");
      if (message.type() == RTM_NEWLINK) {
        Rename(ifindex, NetlinkAttributes(message.Attributes(sizeof(header)))
                            .FindText(IFLA_IFNAME));
      }
    }
  }
  if (!paused_) Act();
}

void LinkWatch::Act() {
  if (changed_.empty()) return;
  const timeval pause = absl::ToTimeval(kPause);
  paused_ = event_add(pause_.get(), &pause) == 0;
  const absl::StatusOr<PolicySnapshot> snapshot = engine_.GetPolicy();
  absl::Status status = snapshot.status();
  std::vector<std::string> named;
  if (snapshot.ok()) {
    const std::vector<std::string> patterns =
        InterfacePatterns(snapshot->policy);
    for (const std::string& name : changed_) {
      if (MatchesAny(patterns, name)) named.push_back(name);
    }
  }
  if (status.ok() && !named.empty()) status = engine_.OutdateVerdicts();
  if (!status.ok()) {
    // Tried again at the end of the pause.
    Log("link_error", {{"error", status.message()}});
    return;
  }
  changed_.clear();
  if (!named.empty()) {
    Log("links_changed", {{"interfaces", absl::StrJoin(named, ",")}});
  }
}

void LinkWatch::OnReadable(int, int16_t, void* self) {
  static_cast<LinkWatch*>(self)->Process();
}

void LinkWatch::OnPauseOver(int, int16_t, void* self) {
  auto* watch = static_cast<LinkWatch*>(self);
  watch->paused_ = false;
  watch->Act();
}

}  // namespace netpolicy
