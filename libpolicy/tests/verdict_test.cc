// What each rule does to real traffic: every row is tried with real sockets,
// through Explain(), and through the programs by themselves, and all three must
// say what the row says. The expectations are written by hand.

#include <bpf/bpf.h>
#include <netinet/in.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "bpf_progs/abi/reason.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/status_matchers.h"
#include "libpolicy/tests/conversation.h"
#include "libpolicy/tests/testbed.h"

namespace netpolicy::testing {
namespace {

using ::testing::UnorderedElementsAreArray;

constexpr uid_t kAppUid = 10001;

// What a silent network is waited for, and what a packet that should arrive may
// take on a busy machine.
constexpr absl::Duration kSilence = absl::Milliseconds(40);
constexpr absl::Duration kPatience = absl::Seconds(5);

struct Row {
  std::string name;
  std::string policy;            // $UID is the application's
  std::vector<int> on_veth;      // reasons against packets, both directions
  std::vector<int> on_loopback;  // likewise
  std::vector<int> at_socket;    // reasons against socket()
};

const std::vector<Row>& Rows() {
  static const auto* const rows = new std::vector<Row>{
      {"EmptyPolicyAllows", R"({"version": 1})", {}, {}, {}},
      {"UidRuleDeny",
       R"({"version": 1, "uids": [{"uid": $UID, "rule": "deny"}]})",
       {NP_REASON_UID_RULE},
       {NP_REASON_UID_RULE},
       {}},
      {"UidRuleAllow",
       R"({"version": 1, "uids": [{"uid": $UID, "rule": "allow"}]})",
       {},
       {},
       {}},
      {"DefaultDeny",
       R"({"version": 1, "defaults": {"rule": "deny"}})",
       {NP_REASON_UID_RULE},
       {NP_REASON_UID_RULE},
       {}},
      {"UidRuleAllowUnderDefaultDeny",
       R"({"version": 1, "defaults": {"rule": "deny"},
           "uids": [{"uid": $UID, "rule": "allow"}]})",
       {},
       {},
       {}},
      {"RuleOfAnotherUid",
       R"({"version": 1, "uids": [{"uid": 4242, "rule": "deny"}]})",
       {},
       {},
       {}},
      {"ListedInDenylist",
       R"({"version": 1,
           "chains": [{"name": "standby", "enabled": true, "uids": [$UID]}]})",
       {NP_REASON_STANDBY},
       {NP_REASON_STANDBY},
       {}},
      {"ListedInDenylistThatIsOff",
       R"({"version": 1, "chains": [{"name": "standby", "uids": [$UID]}]})",
       {},
       {},
       {}},
      {"NotListedInDenylist",
       R"({"version": 1,
           "chains": [{"name": "standby", "enabled": true, "uids": [4242]}]})",
       {},
       {},
       {}},
      {"ListedInAllowlist",
       R"({"version": 1,
           "chains": [{"name": "dozable", "enabled": true, "uids": [$UID]}]})",
       {},
       {},
       {}},
      {"NotListedInAllowlist",
       R"({"version": 1,
           "chains": [{"name": "dozable", "enabled": true, "uids": [4242]}]})",
       {NP_REASON_DOZABLE},
       {NP_REASON_DOZABLE},
       {}},
      {"NotListedInAllowlistThatIsOff",
       R"({"version": 1, "chains": [{"name": "dozable", "uids": [4242]}]})",
       {},
       {},
       {}},
      {"PowersaveIsAnAllowlist",
       R"({"version": 1, "chains": [{"name": "powersave", "enabled": true}]})",
       {NP_REASON_POWERSAVE},
       {NP_REASON_POWERSAVE},
       {}},
      {"RestrictedIsAnAllowlist",
       R"({"version": 1, "chains": [{"name": "restricted", "enabled": true}]})",
       {NP_REASON_RESTRICTED},
       {NP_REASON_RESTRICTED},
       {}},
      {"LowPowerStandbyIsAnAllowlist",
       R"({"version": 1,
           "chains": [{"name": "low_power_standby", "enabled": true}]})",
       {NP_REASON_LOW_POWER_STANDBY},
       {NP_REASON_LOW_POWER_STANDBY},
       {}},
      {"BackgroundSparesLoopback",
       R"({"version": 1, "chains": [{"name": "background", "enabled": true}]})",
       {NP_REASON_BACKGROUND},
       {},
       {}},
      {"OemDenyListsAreDenylists",
       R"({"version": 1,
           "chains": [{"name": "oem_deny_1", "enabled": true, "uids": [$UID]},
                      {"name": "oem_deny_2", "enabled": true},
                      {"name": "oem_deny_3", "enabled": true, "uids": [$UID]}
                     ]})",
       {NP_REASON_OEM_DENY_1, NP_REASON_OEM_DENY_3},
       {NP_REASON_OEM_DENY_1, NP_REASON_OEM_DENY_3},
       {}},
      {"AllReasonsAtOnce",
       R"({"version": 1,
           "uids": [{"uid": $UID, "rule": "deny"}],
           "chains": [{"name": "dozable", "enabled": true},
                      {"name": "standby", "enabled": true, "uids": [$UID]}]})",
       {NP_REASON_UID_RULE, NP_REASON_DOZABLE, NP_REASON_STANDBY},
       {NP_REASON_UID_RULE, NP_REASON_DOZABLE, NP_REASON_STANDBY},
       {}},
      {"MeteredDenyUser",
       R"({"version": 1, "interfaces": [{"name": "eth0", "metered": true}],
           "chains": [{"name": "metered_deny_user", "uids": [$UID]}]})",
       {NP_REASON_METERED_DENY_USER},
       {},
       {}},
      {"MeteredDenyAdminByPrefixOfAName",
       R"({"version": 1, "interfaces": [{"name": "eth*", "metered": true}],
           "chains": [{"name": "metered_deny_admin", "uids": [$UID]}]})",
       {NP_REASON_METERED_DENY_ADMIN},
       {},
       {}},
      {"MeteredDenyUserElsewhere",
       R"({"version": 1, "interfaces": [{"name": "eth1", "metered": true}],
           "chains": [{"name": "metered_deny_user", "uids": [$UID]}]})",
       {},
       {},
       {}},
      {"DataSaver",
       R"({"version": 1, "interfaces": [{"name": "eth0", "metered": true}],
           "chains": [{"name": "metered_allow", "enabled": true}]})",
       {NP_REASON_DATA_SAVER},
       {},
       {}},
      {"DataSaverAllowsTheListed",
       R"({"version": 1, "interfaces": [{"name": "eth0", "metered": true}],
           "chains": [{"name": "metered_allow", "enabled": true, "uids": [$UID]}]})",
       {},
       {},
       {}},
      {"DataSaverDoesNotLiftADenial",
       R"({"version": 1, "interfaces": [{"name": "eth0", "metered": true}],
           "chains": [{"name": "metered_allow", "enabled": true, "uids": [$UID]},
                      {"name": "metered_deny_user", "uids": [$UID]}]})",
       {NP_REASON_METERED_DENY_USER},
       {},
       {}},
      {"InterfaceRuleOfAnotherInterface",
       R"({"version": 1, "uids": [{"uid": $UID, "interfaces": ["tun0"]}]})",
       {NP_REASON_INTERFACE_RULE},
       {},
       {}},
      {"InterfaceRuleOfThisInterface",
       R"({"version": 1, "uids": [{"uid": $UID, "interfaces": ["eth0", "tun0"]}]})",
       {},
       {},
       {}},
      {"InterfaceRuleByPrefixOfAName",
       R"({"version": 1, "uids": [{"uid": $UID, "interfaces": ["eth*"]}]})",
       {},
       {},
       {}},
      {"InterfaceRuleByClass",
       R"({"version": 1, "interfaces": [{"name": "eth0", "classes": ["lan"]}],
           "uids": [{"uid": $UID, "interfaces": ["@lan"]}]})",
       {},
       {},
       {}},
      {"InterfaceRuleByAnotherClass",
       R"({"version": 1, "interfaces": [{"name": "eth0", "classes": ["lan"]}],
           "uids": [{"uid": $UID, "interfaces": ["@vpn"]}]})",
       {NP_REASON_INTERFACE_RULE},
       {},
       {}},
      {"Lockdown",
       R"({"version": 1, "uids": [{"uid": $UID, "lockdown": true}]})",
       {NP_REASON_LOCKDOWN_VPN},
       {},
       {}},
      {"LockdownToThisInterface",
       R"({"version": 1, "uids": [{"uid": $UID, "lockdown": true, "interfaces": ["eth0"]}]})",
       {},
       {},
       {}},
      {"LockdownAndInterfaceRule",
       R"({"version": 1, "uids": [{"uid": $UID, "lockdown": true, "interfaces": ["tun0"]}]})",
       {NP_REASON_LOCKDOWN_VPN, NP_REASON_INTERFACE_RULE},
       {},
       {}},
      {"AnyInterfaceOverridesLockdown",
       R"({"version": 1, "uids": [{"uid": $UID, "lockdown": true, "interfaces": ["*"]}]})",
       {},
       {},
       {}},
      {"DefaultLockdownButNotForThisUid",
       R"({"version": 1, "defaults": {"lockdown": true},
           "uids": [{"uid": $UID, "lockdown": false}]})",
       {},
       {},
       {}},
      {"NoLocalNetworkAccess",
       R"({"version": 1, "local_network": [{"interface": "eth0", "prefix": "10.77.0.0/16"},
                             {"interface": "eth0", "prefix": "fd77::/64"}],
           "uids": [{"uid": $UID, "local_network": false}]})",
       {NP_REASON_LOCAL_NETWORK},
       {},
       {}},
      {"LocalNetworkAccess",
       R"({"version": 1, "local_network": [{"interface": "eth0", "prefix": "10.77.0.0/16"},
                             {"interface": "eth0", "prefix": "fd77::/64"}]})",
       {},
       {},
       {}},
      {"NetworkRuleDenies",
       R"({"version": 1, "uids": [{"uid": $UID, "network_rules": [
               {"action": "deny", "prefix": "10.77.0.0/24", "interface": "eth0"},
               {"action": "deny", "prefix": "fd77::/64", "interface": "eth0"}]}]})",
       {NP_REASON_NETWORK_RULE},
       {},
       {}},
      {"TheLongerPrefixDecides",
       R"({"version": 1, "uids": [{"uid": $UID, "network_rules": [
               {"action": "deny", "interface": "eth0"},
               {"action": "allow", "prefix": "10.77.0.2"},
               {"action": "allow", "prefix": "fd77::2"}]}]})",
       {},
       {},
       {}},
      {"DefaultNetworkRuleDenies",
       R"({"version": 1, "defaults": {"network_rules": [{"action": "deny", "interface": "eth0"}]}})",
       {NP_REASON_NETWORK_RULE},
       {},
       {}},
      {"OwnNetworkRulesComeBeforeTheDefaults",
       R"({"version": 1, "defaults": {"network_rules": [{"action": "deny"}]},
           "uids": [{"uid": $UID, "network_rules": [{"action": "allow"}]}]})",
       {},
       {},
       {}},
      {"UidRuleAllowDoesNotOverrideAChain",
       R"({"version": 1,
           "uids": [{"uid": $UID, "rule": "allow"}],
           "chains": [{"name": "standby", "enabled": true, "uids": [$UID]}]})",
       {NP_REASON_STANDBY},
       {NP_REASON_STANDBY},
       {}},
      {"OwnDenylist",
       R"({"version": 1,
           "chains": [{"name": "kids", "type": "denylist", "enabled": true,
                       "uids": [$UID]}]})",
       {NP_REASON_USER_CHAIN_0},
       {NP_REASON_USER_CHAIN_0},
       {}},
      {"OwnAllowlist",
       R"({"version": 1,
           "chains": [{"name": "work", "type": "allowlist", "enabled": true,
                       "uids": [4242]}]})",
       {NP_REASON_USER_CHAIN_0},
       {NP_REASON_USER_CHAIN_0},
       {}},
      {"NoInternetPermission",
       R"({"version": 1, "uids": [{"uid": $UID, "internet": false}]})",
       {},
       {},
       {NP_REASON_INTERNET_PERMISSION}},
      {"NoInternetPermissionByDefault",
       R"({"version": 1, "defaults": {"internet": false},
           "uids": [{"uid": 4242, "internet": true}]})",
       {},
       {},
       {NP_REASON_INTERNET_PERMISSION}},
      {"OwnPermissionUnderNoneByDefault",
       R"({"version": 1, "defaults": {"internet": false},
           "uids": [{"uid": $UID, "internet": true}]})",
       {},
       {},
       {}},
  };
  return *rows;
}

std::string PolicyFor(const Row& row, uid_t uid) {
  return absl::StrReplaceAll(row.policy, {{"$UID", absl::StrCat(uid)}});
}

class VerdictTest : public ::testing::TestWithParam<Row> {
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

  // Whatever the row refuses is in the counters under exactly its reasons.
  void ExpectDropsCounted() {
    auto stats = bed_->engine().Stats();
    ASSERT_THAT(stats, IsOk());
    for (Direction direction :
         {Direction::kIngress, Direction::kEgress, Direction::kSocketCreate}) {
      const std::vector<int>& reasons = direction == Direction::kSocketCreate
                                            ? GetParam().at_socket
                                            : GetParam().on_veth;
      if (reasons.empty()) continue;
      uint64_t packets = 0;
      for (const DropRow& row : stats->drops) {
        if (row.uid == Uid{kAppUid} && row.direction == direction &&
            row.reasons.numbers() == reasons) {
          packets += row.packets;
        }
      }
      EXPECT_GT(packets, 0) << DirectionName(direction);
    }
  }

  static Testbed* bed_;
};

Testbed* VerdictTest::bed_ = nullptr;

TEST_P(VerdictTest, RealSocketsMeetIt) {
  for (int family : {AF_INET, AF_INET6}) {
    SCOPED_TRACE(family == AF_INET ? "IPv4" : "IPv6");
    ASSERT_THAT(bed_->Apply(R"({"version": 1})"), IsOk());
    Conversation talk(bed_, kAppUid, family);
    ASSERT_NO_FATAL_FAILURE(talk.Open());
    // Under a policy that lets everything pass first, so that the verdicts that
    // sockets keep must expire.
    ASSERT_TRUE(talk.UdpOut(kPatience));
    ASSERT_TRUE(talk.UdpIn(kPatience));

    ASSERT_THAT(bed_->Apply(PolicyFor(GetParam(), kAppUid)), IsOk());
    const bool pass = GetParam().on_veth.empty();
    const absl::Duration wait = pass ? kPatience : kSilence;
    EXPECT_EQ(talk.UdpOut(wait), pass);
    EXPECT_EQ(talk.UdpIn(wait), pass);
    EXPECT_EQ(talk.TcpOut(wait), pass);
    EXPECT_EQ(talk.TcpIn(wait), pass);
    EXPECT_EQ(talk.PingOut(wait), pass);
    EXPECT_EQ(talk.PingIn(wait), pass);
    const bool pass_loopback = GetParam().on_loopback.empty();
    EXPECT_EQ(talk.UdpLoopback(pass_loopback ? kPatience : kSilence),
              pass_loopback);
    EXPECT_EQ(ErrnoOf(talk.NewSocket()),
              GetParam().at_socket.empty() ? 0 : EPERM);
    ExpectDropsCounted();
  }
}

// The peer's addresses as they are in packets: whatever the direction, it is
// the other end.
const std::string kPeer4("\x0a\x4d\x00\x02", 4);
const std::string kPeer6("\xfd\x77\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 16);

// Ethernet frames as BPF_PROG_TEST_RUN takes them: headers alone, which is all
// that the programs look at.
std::string Frame(int family, int protocol) {
  std::string frame(14, '\0');
  std::string transport(20, '\0');

  if (protocol == IPPROTO_TCP) {
    transport[12] = 0x50;  // data offset
    transport[13] = 0x10;  // ACK
  }
  if (family == AF_INET) {
    frame[12] = 0x08;
    std::string ip(20, '\0');
    ip[0] = 0x45;
    ip[3] = static_cast<char>(ip.size() + transport.size());
    ip[8] = 64;
    ip[9] = static_cast<char>(protocol);
    for (const size_t address : {12, 16}) ip.replace(address, 4, kPeer4);
    return frame + ip + transport;
  }
  frame[12] = static_cast<char>(0x86);
  frame[13] = static_cast<char>(0xdd);
  std::string ip(40, '\0');
  ip[0] = 0x60;
  ip[5] = static_cast<char>(transport.size());
  ip[6] =
      static_cast<char>(protocol == IPPROTO_ICMP ? IPPROTO_ICMPV6 : protocol);
  ip[7] = 64;
  for (const size_t address : {8, 24}) ip.replace(address, 16, kPeer6);
  return frame + ip + transport;
}

// BPF_PROG_TEST_RUN's socket belongs to UID 0, so the row is about that one.
TEST_P(VerdictTest, ProgramsAloneMeetIt) {
  ASSERT_THAT(bed_->Apply(PolicyFor(GetParam(), 0)), IsOk());
  auto in_namespace = ScopedNetns::Enter(bed_->app_ns());
  ASSERT_THAT(in_namespace, IsOk());
  for (const char* name : {"np_ingress", "np_egress"}) {
    const UniqueFd program(
        bpf_obj_get(absl::StrCat(bed_->pin_dir(), "/programs/", name).c_str()));
    ASSERT_TRUE(program.ok()) << name;
    for (int family : {AF_INET, AF_INET6}) {
      for (int protocol : {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP}) {
        for (int ifindex : {1, bed_->veth().left().index}) {
          SCOPED_TRACE(absl::StrCat(name, " family ", family, " protocol ",
                                    protocol, " interface ", ifindex));
          const std::string frame = Frame(family, protocol);
          __sk_buff context{};
          context.ifindex = static_cast<uint32_t>(ifindex);
          LIBBPF_OPTS(bpf_test_run_opts, opts);
          opts.data_in = frame.data();
          opts.data_size_in = static_cast<uint32_t>(frame.size());
          opts.ctx_in = &context;
          opts.ctx_size_in = sizeof(context);
          ASSERT_EQ(bpf_prog_test_run_opts(program.get(), &opts), 0);
          const auto& reasons =
              ifindex == 1 ? GetParam().on_loopback : GetParam().on_veth;
          EXPECT_EQ(opts.retval, reasons.empty() ? 1 : 0);
        }
      }
    }
  }
}

TEST_P(VerdictTest, ExplainForetellsIt) {
  ASSERT_THAT(bed_->Apply(PolicyFor(GetParam(), kAppUid)), IsOk());
  auto in_namespace = ScopedNetns::Enter(bed_->app_ns());
  ASSERT_THAT(in_namespace, IsOk());
  for (const auto& [interface, expected] :
       {std::pair("eth0", GetParam().on_veth),
        std::pair("lo", GetParam().on_loopback)}) {
    ExplainQuery query;
    query.remote = ParseAddress("10.77.0.2").value();
    query.uid = Uid{kAppUid};
    query.interface = interface;
    auto explanation = bed_->engine().Explain(query);
    ASSERT_THAT(explanation, IsOk());
    ASSERT_EQ(explanation->verdicts.size(), 4);
    for (const ExplainedVerdict& verdict : explanation->verdicts) {
      // Of a call only what holds on every interface is certain.
      if (verdict.direction == Direction::kConnect) continue;
      SCOPED_TRACE(absl::StrCat(DirectionName(verdict.direction), " on '",
                                interface, "'"));
      std::vector<int> reasons;
      for (const ExplainedReason& reason : verdict.reasons) {
        reasons.push_back(reason.number);
      }
      EXPECT_THAT(reasons, UnorderedElementsAreArray(
                               verdict.direction == Direction::kSocketCreate
                                   ? GetParam().at_socket
                                   : expected));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, VerdictTest, ::testing::ValuesIn(Rows()),
                         [](const ::testing::TestParamInfo<Row>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace netpolicy::testing
