// What rules about networks and interfaces do to real traffic, kind by kind.
// The expectations are written by hand.

#include <cerrno>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "bpf_progs/abi/reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/kernel/probe_network.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/conversation.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

constexpr uid_t kAppUid = 10001;

// What a silent network is waited for, and what a packet that should arrive may
// take on a busy machine.
constexpr absl::Duration kSilence = absl::Milliseconds(40);
constexpr absl::Duration kPatience = absl::Seconds(5);

// Kinds of traffic, as bits. An answer must get back for TcpOut, TcpIn and
// PingOut; the others need one direction only.
enum Kind : unsigned {
  kUdpOut = 1,
  kUdpIn = 2,
  kTcpOut = 4,  // to the peer's port
  kTcpIn = 8,
  kPingOut = 16,
  kPingIn = 32,
  kLoopback = 64,
};
constexpr unsigned kNothing = 0;
constexpr unsigned kVeth =
    kUdpOut | kUdpIn | kTcpOut | kTcpIn | kPingOut | kPingIn;

struct Row {
  std::string name;
  std::string policy;  // $UID is the application's
  unsigned refused;
  int reason = 0;  // of everything that is refused
  // Of `refused`, what is refused as an answer of the application's only.
  unsigned by_its_answer = kNothing;
};
void PrintTo(const Row& row, std::ostream* os) { *os << row.policy; }

// A policy with these network rules of the UID's own.
std::string Own(const std::string& rules) {
  return absl::StrCat(R"({"version": 1, "uids": [{"uid": $UID,
                          "network_rules": [)",
                      rules, "]}]}");
}
// A rule for each family.
std::string Both(const std::string& v4, const std::string& v6,
                 const std::string& more) {
  std::vector<std::string> rules;
  for (const std::string& prefix : {v4, v6}) {
    rules.push_back(
        absl::StrCat(R"({"prefix": ")", prefix, R"(", )", more, "}"));
  }
  return absl::StrJoin(rules, ", ");
}
std::string Peer(const std::string& more) {
  return Both("10.77.0.0/24", "fd77::/64", more);
}
std::string PeerHost(const std::string& more) {
  return Both("10.77.0.2", "fd77::2", more);
}

const std::vector<Row>& Rows() {
  static const auto* const rows = new std::vector<Row>{
      {"DenyOfThePeersNetwork", Own(Peer(R"("action": "deny")")), kVeth,
       NP_REASON_NETWORK_RULE},
      {"DenyOfAnotherNetwork",
       Own(Both("10.78.0.0/16", "fd78::/64", R"("action": "deny")")), kNothing},
      {"DenyOfEverythingWithLoopback",
       Own(Both("0.0.0.0/0", "::/0", R"("action": "deny")")), kVeth | kLoopback,
       NP_REASON_NETWORK_RULE},
      {"LongerPrefixAllows",
       Own(Peer(R"("action": "deny")") + ", " +
           PeerHost(R"("action": "allow")")),
       kNothing},
      {"LongerPrefixDenies",
       Own(PeerHost(R"("action": "deny")") + ", " +
           Peer(R"("action": "allow")")),
       kVeth, NP_REASON_NETWORK_RULE},
      {"Protocol", Own(Peer(R"("action": "deny", "protocol": "udp")")),
       kUdpOut | kUdpIn, NP_REASON_NETWORK_RULE},
      {"RemotePort",
       Own(Peer(R"("action": "deny", "protocol": "tcp", "ports": 4002)")),
       kTcpOut, NP_REASON_NETWORK_RULE},
      {"RemotePortRange",
       Own(Peer(
           R"("action": "deny", "protocol": "udp", "ports": "4000-4010")")),
       kUdpOut | kUdpIn, NP_REASON_NETWORK_RULE},
      {"OtherPorts", Own(Peer(R"("action": "deny", "ports": "1-4001")")),
       kNothing},
      {"DirectionOut", Own(Peer(R"("action": "deny", "direction": "out")")),
       kUdpOut | kTcpOut | kTcpIn | kPingOut, NP_REASON_NETWORK_RULE, kTcpIn},
      {"DirectionIn", Own(Peer(R"("action": "deny", "direction": "in")")),
       kUdpIn | kTcpOut | kTcpIn | kPingOut | kPingIn, NP_REASON_NETWORK_RULE},
      {"RuleOfTheInterface",
       Own(Peer(R"("action": "deny", "interface": "eth0")")), kVeth,
       NP_REASON_NETWORK_RULE},
      {"RuleOfThePrefixOfTheInterface",
       Own(Peer(R"("action": "deny", "interface": "et*")")), kVeth,
       NP_REASON_NETWORK_RULE},
      {"RuleOfAnotherInterface",
       Own(Peer(R"("action": "deny", "interface": "wlan0")")), kNothing},
      {"OwnRulesComeBeforeTheDefaults",
       R"({"version": 1, "defaults": {"network_rules": [)" +
           PeerHost(R"("action": "deny")") + R"(]}, "uids": [{"uid": $UID,
           "network_rules": [)" +
           Peer(R"("action": "allow")") + "]}]}",
       kNothing},
      {"DefaultsHoldWhereOwnRulesAreSilent",
       R"({"version": 1, "defaults": {"network_rules": [)" +
           PeerHost(R"("action": "deny")") + R"(]}, "uids": [{"uid": $UID,
           "network_rules": [)" +
           Both("10.78.0.0/16", "fd78::/64", R"("action": "allow")") + "]}]}",
       kVeth, NP_REASON_NETWORK_RULE},
      {"LocalNetworkWithoutAccess",
       R"({"version": 1, "uids": [{"uid": $UID, "local_network": false}],
           "local_network": [)" +
           Peer(R"("interface": "eth0")") + "]}",
       kVeth, NP_REASON_LOCAL_NETWORK},
      {"LocalNetworkWithAccess",
       R"({"version": 1, "local_network": [)" + Peer(R"("interface": "eth0")") +
           "]}",
       kNothing},
      {"LocalNetworkButForOnePort",
       R"({"version": 1, "uids": [{"uid": $UID, "local_network": false}],
           "local_network": [)" +
           Peer(R"("interface": "eth0")") + ", " +
           PeerHost(R"("interface": "eth0", "protocol": "udp",
                       "ports": 4002, "action": "allow")") +
           "]}",
       kVeth & ~(kUdpOut | kUdpIn), NP_REASON_LOCAL_NETWORK},
      {"IngressDiscard",
       R"({"version": 1, "ingress_discard": [
           {"address": "10.77.0.1", "interfaces": ["tun0"]},
           {"address": "fd77::1", "interfaces": ["tun0"]}]})",
       kUdpIn | kTcpOut | kTcpIn | kPingOut | kPingIn,
       NP_REASON_INGRESS_DISCARD},
      {"IngressDiscardButForTheInterface",
       R"({"version": 1, "ingress_discard": [
           {"address": "10.77.0.1", "interfaces": ["tun0", "eth0"]},
           {"address": "fd77::1", "interfaces": ["et*"]}]})",
       kNothing},
      {"AnotherInterface",
       R"({"version": 1, "uids": [{"uid": $UID, "interfaces": ["tun0"]}]})",
       kVeth, NP_REASON_INTERFACE_RULE},
      {"TheInterface",
       R"({"version": 1,
           "uids": [{"uid": $UID, "interfaces": ["tun0", "eth0"]}]})",
       kNothing},
      {"ThePrefixOfTheInterface",
       R"({"version": 1, "uids": [{"uid": $UID, "interfaces": ["e*"]}]})",
       kNothing},
      {"TheClassOfTheInterface",
       R"({"version": 1, "interfaces": [{"name": "eth*", "classes": ["lan"]}],
           "uids": [{"uid": $UID, "interfaces": ["@lan"]}]})",
       kNothing},
      {"AnyInterface",
       R"({"version": 1, "uids": [{"uid": $UID, "interfaces": ["*"]}]})",
       kNothing},
      {"LockdownWithoutAnInterface",
       R"({"version": 1, "uids": [{"uid": $UID, "lockdown": true}]})", kVeth,
       NP_REASON_LOCKDOWN_VPN},
      {"LockdownOverriddenByAnyInterface",
       R"({"version": 1,
           "uids": [{"uid": $UID, "lockdown": true, "interfaces": ["*"]}]})",
       kNothing},
      {"DataSaverOnAMeteredInterface",
       R"({"version": 1, "interfaces": [{"name": "eth0", "metered": true}],
           "chains": [{"name": "metered_allow", "enabled": true}]})",
       kVeth, NP_REASON_DATA_SAVER},
      {"DataSaverOnAnotherInterface",
       R"({"version": 1, "interfaces": [{"name": "wwan*", "metered": true}],
           "chains": [{"name": "metered_allow", "enabled": true}]})",
       kNothing},
      {"AllowedEvenUnderDataSaver",
       R"({"version": 1, "interfaces": [{"name": "eth0", "metered": true}],
           "chains": [{"name": "metered_allow", "enabled": true,
                       "uids": [$UID]}]})",
       kNothing},
      {"DeniedOnMeteredInterfaces",
       R"({"version": 1, "interfaces": [{"name": "e*", "metered": true}],
           "chains": [{"name": "metered_deny_user", "enabled": true,
                       "uids": [$UID]}]})",
       kVeth, NP_REASON_METERED_DENY_USER},
      {"ExemptUid",
       R"({"version": 1, "settings": {"exempt_below": 10002},
           "uids": [{"uid": $UID, "rule": "deny", "lockdown": true}]})",
       kNothing},
      {"ExemptAppId",
       R"({"version": 1,
           "settings": {"uids_per_user": 10000, "exempt_below": 2},
           "uids": [{"uid": $UID, "rule": "deny"}]})",
       kNothing},
  };
  return *rows;
}

std::string PolicyText(const std::string& policy) {
  return absl::StrReplaceAll(policy, {{"$UID", absl::StrCat(kAppUid)}});
}

class NetworkVerdictTest : public ::testing::TestWithParam<Row> {
 protected:
  static void SetUpTestSuite() {
    if (MissingForBpfTests().has_value()) return;
    auto bed = Testbed::Create();
    ASSERT_THAT(bed, IsOk());
    bed_ = bed->release();
  }

  static void TearDownTestSuite() {
    delete bed_;
    bed_ = nullptr;
  }

  void SetUp() override {
    if (auto missing = MissingForBpfTests()) GTEST_SKIP() << *missing;
    ASSERT_NE(bed_, nullptr);
  }

  // Every kind of traffic does what `refused` says.
  static void ExpectRefused(Conversation& talk, unsigned refused) {
    struct Try {
      Kind kind;
      const char* name;
      bool (Conversation::*call)(absl::Duration wait);
    };
    for (const Try& each :
         {Try{kUdpOut, "UDP out", &Conversation::UdpOut},
          Try{kUdpIn, "UDP in", &Conversation::UdpIn},
          Try{kTcpOut, "TCP out", &Conversation::TcpOut},
          Try{kTcpIn, "TCP in", &Conversation::TcpIn},
          Try{kPingOut, "ping out", &Conversation::PingOut},
          Try{kPingIn, "ping in", &Conversation::PingIn},
          Try{kLoopback, "loopback", &Conversation::UdpLoopback}}) {
      const bool pass = (refused & each.kind) == 0;
      EXPECT_EQ((talk.*each.call)(pass ? kPatience : kSilence), pass)
          << each.name;
    }
  }

  // Whether this kernel shows the programs the SYN-ACKs of listeners.
  static bool SeesSynAcks(int family) {
    auto seen = RunInChild(
        {.cgroup = bed_->cgroup().path(), .netns = bed_->app_ns().fd()},
        [family] { return EgressSeesSynAcks(family); });
    EXPECT_THAT(seen, IsOk());
    return seen.value_or(true);
  }

  // Whether something of the application's was refused for exactly `reason`.
  static bool CountedFor(int reason) {
    auto stats = bed_->engine().Stats();
    EXPECT_THAT(stats, IsOk());
    if (!stats.ok()) return false;
    for (const DropRow& row : stats->drops) {
      if (row.uid == Uid{kAppUid} &&
          row.reasons.numbers() == std::vector<int>{reason} &&
          row.packets > 0) {
        return true;
      }
    }
    return false;
  }

  static Testbed* bed_;
};

Testbed* NetworkVerdictTest::bed_ = nullptr;

TEST_P(NetworkVerdictTest, RealSocketsMeetIt) {
  for (int family : {AF_INET, AF_INET6}) {
    SCOPED_TRACE(family == AF_INET ? "IPv4" : "IPv6");
    ASSERT_THAT(bed_->Apply(R"({"version": 1})"), IsOk());
    Conversation talk(bed_, kAppUid, family);
    ASSERT_NO_FATAL_FAILURE(talk.Open());
    // Verdicts that the sockets keep from before must expire.
    ASSERT_TRUE(talk.UdpOut(kPatience));
    ASSERT_TRUE(talk.UdpIn(kPatience));
    ASSERT_THAT(bed_->Apply(PolicyText(GetParam().policy)), IsOk());
    unsigned refused = GetParam().refused;
    if (GetParam().by_its_answer != kNothing && !SeesSynAcks(family)) {
      refused &= ~GetParam().by_its_answer;
    }
    ExpectRefused(talk, refused);
    if (GetParam().refused != kNothing) {
      EXPECT_TRUE(CountedFor(GetParam().reason));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, NetworkVerdictTest, ::testing::ValuesIn(Rows()),
                         [](const ::testing::TestParamInfo<Row>& info) {
                           return info.param.name;
                         });

// What needs no rows; the suite's machine is shared.
class NetworkCallsTest : public NetworkVerdictTest {};

TEST_F(NetworkCallsTest, ConnectFailsAtOnceWhereNoPacketCouldPass) {
  for (int family : {AF_INET, AF_INET6}) {
    ASSERT_THAT(bed_->Apply(PolicyText(
                    Own(Peer(R"("action": "deny", "ports": 4002)")))),
                IsOk());
    Conversation talk(bed_, kAppUid, family);
    ASSERT_NO_FATAL_FAILURE(talk.Open());
    EXPECT_THAT(talk.Connect(kPeerPort, kPatience), HasErrno(EPERM));
    // Not denied; nobody listens there.
    EXPECT_THAT(talk.Connect(kPeerPort + 1, kPatience), HasErrno(ECONNREFUSED));
  }
}

TEST_F(NetworkCallsTest, BlockedPortsCannotBeBound) {
  ASSERT_THAT(
      bed_->Apply(
          R"({"version": 1, "blocked_bind_ports": [5353, "8000-8002"]})"),
      IsOk());
  for (int family : {AF_INET, AF_INET6}) {
    Conversation talk(bed_, kAppUid, family);
    ASSERT_NO_FATAL_FAILURE(talk.Open());
    for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
      for (uint16_t port : {5353, 8000, 8001, 8002}) {
        EXPECT_THAT(talk.Bind(type, port), HasErrno(EPERM)) << port;
      }
      for (uint16_t port : {0, 5352, 5354, 7999, 8003}) {
        EXPECT_THAT(talk.Bind(type, port), IsOk()) << port;
      }
    }
  }
}

TEST_F(NetworkCallsTest, RulesFollowTheNameOfAnInterface) {
  ASSERT_THAT(bed_->Apply(PolicyText(
                  R"({"version": 1,
                      "uids": [{"uid": $UID, "interfaces": ["tun0"]}]})")),
              IsOk());
  auto app = bed_->SpawnApp(kAppUid);
  ASSERT_THAT(app, IsOk());
  const auto sends_to = [&](const char* address) {
    auto socket = app->UdpSocket(AF_INET);
    EXPECT_THAT(socket, IsOk());
    return ErrnoOf(app->SendTo(*socket, {address, 9}, "x").status());
  };
  const auto make = [&](const char* name) {
    return VethPair::Create(bed_->app_ns(), bed_->peer_ns(),
                            {.left_name = name,
                             .right_name = "eth1",
                             .left_v4 = "10.88.0.1",
                             .right_v4 = "10.88.0.2",
                             .left_v6 = std::nullopt,
                             .right_v6 = std::nullopt});
  };

  // Nothing has the name: nothing passes.
  EXPECT_EQ(sends_to("10.77.0.2"), EPERM);
  {
    auto tunnel = make("tun0");
    ASSERT_THAT(tunnel, IsOk());
    EXPECT_EQ(sends_to("10.88.0.2"), 0);
    EXPECT_EQ(sends_to("10.77.0.2"), EPERM);
    ASSERT_THAT(bed_->app_ns().RenameLink("tun0", "tun1"), IsOk());
    EXPECT_EQ(sends_to("10.88.0.2"), EPERM);
    ASSERT_THAT(bed_->app_ns().RenameLink("tun1", "tun0"), IsOk());
    EXPECT_EQ(sends_to("10.88.0.2"), 0);
  }
  {
    auto other = make("wlan1");
    ASSERT_THAT(other, IsOk());
    EXPECT_EQ(sends_to("10.88.0.2"), EPERM);
  }
  auto again = make("tun0");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(sends_to("10.88.0.2"), 0);
}

TEST_F(NetworkCallsTest, AnEstablishedConnectionMeetsTheNextPolicy) {
  for (int family : {AF_INET, AF_INET6}) {
    // The verdict depends on the peer and is kept while nothing changes.
    ASSERT_THAT(bed_->Apply(PolicyText(Own(Peer(R"("action": "allow")")))),
                IsOk());
    auto app = bed_->SpawnApp(kAppUid);
    ASSERT_THAT(app, IsOk());
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    const Endpoint at_peer = {family == AF_INET ? "10.77.0.2" : "fd77::2",
                              kPeerPort};
    auto listener = peer->TcpSocket(family);
    ASSERT_THAT(listener, IsOk());
    ASSERT_THAT(peer->Bind(*listener, at_peer), IsOk());
    ASSERT_THAT(peer->Listen(*listener), IsOk());
    auto socket = app->TcpSocket(family);
    ASSERT_THAT(socket, IsOk());
    ASSERT_THAT(app->Connect(*socket, at_peer), IsOk());
    auto accepted = peer->Accept(*listener);
    ASSERT_THAT(accepted, IsOk());
    for (int i = 0; i < 3; ++i) {
      ASSERT_THAT(app->Send(*socket, "x"), IsOk());
      ASSERT_THAT(peer->Receive(*accepted), IsOk());
    }
    ASSERT_THAT(bed_->Apply(PolicyText(Own(Peer(R"("action": "deny")")))),
                IsOk());
    ASSERT_THAT(app->Send(*socket, "x"), IsOk());
    EXPECT_THAT(peer->Receive(*accepted, kSilence),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
}

TEST_F(NetworkCallsTest, ABlockedConnectionMayBeResetAsTheSettingSays) {
  struct Case {
    const char* closing_packets;
    const char* of_the_uid;
    bool reset_arrives;
  };
  for (const Case& each : {
           Case{"judged", R"("rule": "deny")", false},
           Case{"pass_chains", R"("rule": "deny")", true},
           Case{"pass_chains", R"("lockdown": true)", false},
           Case{"pass_chains", R"("interfaces": ["tun0"])", false},
           Case{"pass_all", R"("rule": "deny", "lockdown": true)", true},
       }) {
    SCOPED_TRACE(absl::StrCat(each.closing_packets, " ", each.of_the_uid));
    ASSERT_THAT(bed_->Apply(R"({"version": 1})"), IsOk());
    auto app = bed_->SpawnApp(kAppUid);
    ASSERT_THAT(app, IsOk());
    auto peer = bed_->SpawnPeer();
    ASSERT_THAT(peer, IsOk());
    // Connections of other tests that could not be closed linger at kPeerPort.
    const Endpoint at_peer = {"10.77.0.2", kPeerPort + 10};
    auto listener = peer->TcpSocket(AF_INET);
    ASSERT_THAT(listener, IsOk());
    ASSERT_THAT(peer->SetOption<int>(*listener, SOL_SOCKET, SO_REUSEADDR, 1),
                IsOk());
    ASSERT_THAT(peer->Bind(*listener, at_peer), IsOk());
    ASSERT_THAT(peer->Listen(*listener), IsOk());
    auto socket = app->TcpSocket(AF_INET);
    ASSERT_THAT(socket, IsOk());
    ASSERT_THAT(app->Connect(*socket, at_peer), IsOk());
    auto accepted = peer->Accept(*listener);
    ASSERT_THAT(accepted, IsOk());

    ASSERT_THAT(bed_->Apply(absl::StrCat(
                    R"({"version": 1, "settings": {"closing_packets": ")",
                    each.closing_packets, R"("}, "uids": [{"uid": )", kAppUid,
                    ", ", each.of_the_uid, "}]}")),
                IsOk());
    // Closing it now means a reset.
    ASSERT_THAT(app->SetOption(*socket, SOL_SOCKET, SO_LINGER, linger{1, 0}),
                IsOk());
    ASSERT_THAT(app->Close(*socket), IsOk());
    if (each.reset_arrives) {
      EXPECT_THAT(peer->Receive(*accepted, kPatience), HasErrno(ECONNRESET));
    } else {
      EXPECT_THAT(peer->Receive(*accepted, kSilence),
                  StatusIs(absl::StatusCode::kDeadlineExceeded));
    }
  }
}

}  // namespace
}  // namespace netpolicy::testing
