#include "libpolicy/model/document.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/random_policy.h"
#include "libpolicy/testing/status_matchers.h"

namespace netpolicy {
namespace {

using ::netpolicy::testing::IsOk;
using ::netpolicy::testing::Random;
using ::netpolicy::testing::RandomPolicy;
using ::netpolicy::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;

// A row's text with ` for ", to be legible.
std::string Json(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"`", "\""}});
}

TEST(ParsePolicyJson, ReadsTheWholeLanguage) {
  const absl::StatusOr<PolicyDocument> document = ParsePolicyJson(R"(
{
  "version": 1,                                      // required
  "defaults": {"rule": "deny", "internet": false},   /* optional */
  "chains": [
    {"name": "dozable", "enabled": true, "uids": [10001, "10100-10199"]},
    {"name": "kids", "type": "denylist", "uids": []},
  {"name": "work", "type": "allowlist", "enabled": false}
  ],
  "uids": [ {"uid": 0, "rule": "allow"}, {"uid": "10200-4294967294", "internet": true} ]
})",
                                                                  "p.json");
  ASSERT_THAT(document, IsOk());
  EXPECT_EQ(document->version(), 1u);
  EXPECT_EQ(document->defaults().rule(), proto::ACTION_DENY);
  EXPECT_TRUE(document->defaults().has_internet());
  EXPECT_FALSE(document->defaults().internet());
  ASSERT_EQ(document->chains_size(), 3);
  EXPECT_EQ(document->chains(0).name(), "dozable");
  EXPECT_FALSE(document->chains(0).has_type());
  EXPECT_TRUE(document->chains(0).enabled());
  ASSERT_EQ(document->chains(0).uids_size(), 2);
  EXPECT_EQ(document->chains(0).uids(0).first(), 10001u);
  EXPECT_EQ(document->chains(0).uids(0).last(), 10001u);
  EXPECT_EQ(document->chains(0).uids(1).first(), 10100u);
  EXPECT_EQ(document->chains(0).uids(1).last(), 10199u);
  EXPECT_EQ(document->chains(1).type(), proto::CHAIN_SENSE_DENYLIST);
  EXPECT_FALSE(document->chains(1).has_enabled());
  EXPECT_EQ(document->chains(2).type(), proto::CHAIN_SENSE_ALLOWLIST);
  ASSERT_EQ(document->uids_size(), 2);
  EXPECT_EQ(document->uids(0).uid().first(), 0u);
  EXPECT_EQ(document->uids(0).rule(), proto::ACTION_ALLOW);
  EXPECT_FALSE(document->uids(0).has_internet());
  EXPECT_EQ(document->uids(1).uid().last(), 4294967294u);
  EXPECT_TRUE(document->uids(1).internet());
}

TEST(ParsePolicyJson, SaysWhereEachFaultIs) {
  const struct {
    absl::string_view name;
    absl::string_view text;
    absl::string_view message;
  } kRows[] = {
      {"syntax", "{\n `version`: 1,,\n}",
       "p.json:2:15: syntax error while parsing object key - unexpected ','; "
       "expected string literal"},
      {"not an object", "[]", "p.json:1:1: expected an object, found an array"},
      {"unknown field", "{`version`: 1, `colour`: 3}",
       "p.json:1:16: unknown field `colour`, expected version, profile, "
       "settings, defaults, interfaces, chains, uids, ingress_discard, "
       "local_network, blocked_bind_ports"},
      {"unknown field below", "{`chains`: [{`name`: `a`, `uid`: 5}]}",
       "p.json:1:27: chains[0]: unknown field `uid`, expected name, type, "
       "enabled, uids"},
      {"unknown field with odd bytes", "{`a\\u001b[1m\\n`: 1}",
       "p.json:1:2: unknown field `a\\x1b[1m\\n`, expected version, profile, "
       "settings, defaults, interfaces, chains, uids, ingress_discard, "
       "local_network, blocked_bind_ports"},
      {"field twice", "{`version`: 1,\n`version`: 1}",
       "p.json:2:1: version: is there twice"},
      {"field twice below", "{`uids`: [{`uid`: 1, `rule`: `deny`, `uid`: 2}]}",
       "p.json:1:38: uids[0].uid: is there twice"},
      {"version of wrong type", "{`version`: `1`}",
       "p.json:1:13: version: expected a whole number from 0 to 4294967295, "
       "found `1`"},
      {"version out of range", "{`version`: 4294967296}",
       "p.json:1:13: version: expected a whole number from 0 to 4294967295, "
       "found 4294967296"},
      {"fraction", "{`version`: 1.0}",
       "p.json:1:13: version: expected a whole number from 0 to 4294967295, "
       "found 1.0"},
      {"defaults of wrong type", "{`defaults`: true}",
       "p.json:1:14: defaults: expected an object, found true"},
      {"unknown rule", "{`defaults`: {`rule`: `maybe`}}",
       "p.json:1:23: defaults.rule: expected `allow` or `deny`, found "
       "`maybe`"},
      {"rule of wrong type", "{`uids`: [{`uid`: 1, `rule`: null}]}",
       "p.json:1:30: uids[0].rule: expected `allow` or `deny`, found null"},
      {"permission of wrong type", "{`uids`: [{`uid`: 1, `internet`: `no`}]}",
       "p.json:1:34: uids[0].internet: expected true or false, found `no`"},
      {"chains of wrong type", "{`chains`: {}}",
       "p.json:1:12: chains: expected an array, found an object"},
      {"chain of wrong type", "{`chains`: [{}, 5]}",
       "p.json:1:17: chains[1]: expected an object, found 5"},
      {"name of wrong type", "{`chains`: [{`name`: []}]}",
       "p.json:1:22: chains[0].name: expected a string, found an array"},
      {"unknown type", "{`chains`: [{`name`: `a`, `type`: `blocklist`}]}",
       "p.json:1:35: chains[0].type: expected `allowlist` or `denylist`, found "
       "`blocklist`"},
      {"switch of wrong type", "{`chains`: [{`name`: `a`, `enabled`: 1}]}",
       "p.json:1:38: chains[0].enabled: expected true or false, found 1"},
      {"uid below range", "{`chains`: [{`uids`: [1, -1]}]}",
       "p.json:1:26: chains[0].uids[1]: expected a uid (0 to 4294967294) or "
       "`FIRST-LAST`, found -1"},
      {"uid above range", "{`chains`: [{}, {`uids`: [4294967295]}]}",
       "p.json:1:27: chains[1].uids[0]: expected a uid (0 to 4294967294) or "
       "`FIRST-LAST`, found 4294967295"},
      {"uid beyond 64 bits", "{`uids`: [{`uid`: 99999999999999999999999}]}",
       "p.json:1:19: uids[0].uid: expected a uid (0 to 4294967294) or "
       "`FIRST-LAST`, found 99999999999999999999999"},
      {"uid as text", "{`uids`: [{`uid`: `10007`}]}",
       "p.json:1:19: uids[0].uid: expected a uid (0 to 4294967294) or "
       "`FIRST-LAST`, found `10007`"},
      {"uid as array", "{`uids`: [{`uid`: [1, 2]}]}",
       "p.json:1:19: uids[0].uid: expected a uid (0 to 4294967294) or "
       "`FIRST-LAST`, found an array"},
      {"two faults", "{`version`: `x`, `chains`: [\n  {`uids`: [true]}]}",
       "p.json:1:13: version: expected a whole number from 0 to 4294967295, "
       "found `x`\n"
       "p.json:2:13: chains[0].uids[0]: expected a uid (0 to 4294967294) or "
       "`FIRST-LAST`, found true"},
      {"too deep", "[[[[[[[[[[[[[[[[[",
       "p.json:1:17: more than 16 arrays and objects in each other"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    EXPECT_THAT(ParsePolicyJson(Json(row.text), "p.json"),
                StatusIs(kInvalidArgument, Json(row.message)));
  }
  EXPECT_THAT(ParsePolicyJson(std::string((16 << 20) + 1, ' '), "p.json"),
              StatusIs(kInvalidArgument,
                       "p.json:1:1: 16777217 bytes, at most 16777216 allowed"));
}

TEST(ParsePolicyJson, RefusesRangesThatAreNone) {
  for (const absl::string_view range :
       {"", "-", "5-", "-5", "1-2-3", " 1-2", "1-2 ", "1 - 2", "+1-2", "01-2",
        "0x1-2", "a-b", "1-4294967295", "1-99999999999999999999999"}) {
    EXPECT_THAT(
        ParsePolicyJson(
            absl::StrCat("{\"uids\": [{\"uid\": \"", range, "\"}]}"), "p.json"),
        StatusIs(kInvalidArgument,
                 HasSubstr(
                     absl::StrCat("p.json:1:19: uids[0].uid: expected a uid"))))
        << range;
  }
}

TEST(ParsePolicyJson, StopsListingFaultsAtSomePoint) {
  std::string text = "{\"uids\": [";
  for (int i = 0; i < 1000; ++i) text += "7,";
  EXPECT_THAT(ParsePolicyJson(text + "7]}", "p.json"),
              StatusIs(kInvalidArgument, EndsWith("\nand 901 more")));
}

TEST(Validate, ResolvesNamesAndRanges) {
  const absl::StatusOr<PolicyDocument> document = ParsePolicyJson(Json(R"({
    `version`: 1,
    `chains`: [
      {`name`: `work`, `type`: `allowlist`, `uids`: [`10001-10003`, 10005]},
      {`name`: `background`, `type`: `allowlist`, `enabled`: true},
      {`name`: `kids`, `type`: `denylist`, `enabled`: true, `uids`: [10003]}
    ],
    `uids`: [{`uid`: `10003-10004`, `rule`: `deny`}, {`uid`: 10001, `internet`: false}]
  })"),
                                                                  "p.json");
  ASSERT_THAT(document, IsOk());
  const absl::StatusOr<Policy> policy = Validate(*document);
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(policy->defaults(), PolicyDefaults());
  ASSERT_THAT(policy->chains(), SizeIs(14));
  EXPECT_EQ(*policy->FindChain("background"),
            (Chain{6, "background", ChainSense::kAllowlist, Switch::kOn}));
  EXPECT_EQ(*policy->FindChain("work"),
            (Chain{32, "work", ChainSense::kAllowlist, Switch::kOff}));
  EXPECT_EQ(*policy->FindChain("kids"),
            (Chain{33, "kids", ChainSense::kDenylist, Switch::kOn}));
  EXPECT_THAT(policy->ChainMembers(32),
              ElementsAre(Uid{10001}, Uid{10002}, Uid{10003}, Uid{10005}));
  EXPECT_THAT(policy->ChainMembers(33), ElementsAre(Uid{10003}));
  EXPECT_THAT(policy->uids(), SizeIs(5));
  EXPECT_EQ(policy->Find(Uid{10001}),
            (UidPolicy{1ULL << 32, absl::nullopt, Permission::kRevoked}));
  EXPECT_EQ(policy->Find(Uid{10003}),
            (UidPolicy{3ULL << 32, Action::kDeny, absl::nullopt}));
  EXPECT_EQ(policy->Find(Uid{10004}),
            (UidPolicy{0, Action::kDeny, absl::nullopt}));
}

TEST(Validate, OfTheLeastDocumentIsTheEmptyPolicy) {
  PolicyDocument document;
  document.set_version(1);
  const absl::StatusOr<Policy> policy = Validate(document);
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(*policy, Policy());
}

TEST(Validate, ReportsEveryFaultWithItsPath) {
  const struct {
    absl::string_view name;
    absl::string_view text;  // between { and }
    absl::string_view message;
  } kRows[] = {
      {"no version", "", "version: is missing"},
      {"unknown version", "`version`: 2", "version: 2 is not known, only 1"},
      {"no name", "`version`: 1, `chains`: [{`type`: `denylist`}]",
       "chains[0].name: is missing"},
      {"bad name",
       "`version`: 1, `chains`: [{`name`: `Kids!`, `type`: `denylist`}]",
       "chains[0].name: chain `Kids!`: not a chain name, which is a letter and "
       "at most 30 of a-z, 0-9 and _"},
      {"name of a reason",
       "`version`: 1, `chains`: [{`name`: `quota`, `type`: `denylist`}]",
       "chains[0].name: chain quota: the name is reserved"},
      {"no type", "`version`: 1, `chains`: [{`name`: `kids`}]",
       "chains[0].type: is missing; only Android's chains have one"},
      {"Android's other type",
       "`version`: 1, `chains`: [{`name`: `dozable`, `type`: `denylist`}]",
       "chains[0].type: chain dozable is Android's allowlist"},
      {"Android's chain twice",
       "`version`: 1, `chains`: [{`name`: `dozable`}, {`name`: `dozable`}]",
       "chains[1].name: chain dozable is already chains[0]"},
      {"own chain twice",
       "`version`: 1, `chains`: [{`name`: `a`, `type`: `denylist`}, "
       "{`name`: `standby`}, {`name`: `a`, `type`: `allowlist`}]",
       "chains[2].name: chain a is already chains[0]"},
      {"uid twice in a chain",
       "`version`: 1, `chains`: [{`name`: `dozable`, `uids`: [7, 6, 7, 8]}]",
       "chains[0].uids[2]: uid 7 is already in chains[0].uids[0]"},
      {"uid of a range again",
       "`version`: 1, `chains`: [{`name`: `dozable`, `uids`: [15, `10-20`, "
       "20]}]",
       "chains[0].uids[1]: uid 15 is already in chains[0].uids[0]\n"
       "chains[0].uids[2]: uid 20 is already in chains[0].uids[1]"},
      {"uid entries that overlap",
       "`version`: 1, `uids`: [{`uid`: `10-20`, `rule`: `deny`}, "
       "{`uid`: `21-30`, `rule`: `deny`}, {`uid`: `15-25`, `internet`: true}]",
       "uids[2].uid: uid 15 is already in uids[0].uid\n"
       "uids[2].uid: uid 21 is already in uids[1].uid"},
      {"reversed range",
       "`version`: 1, `chains`: [{`name`: `dozable`, `uids`: [`2-1`]}]",
       "chains[0].uids[0]: 2-1: the first uid is above the last"},
      {"large range",
       "`version`: 1, `uids`: [{`uid`: `1-101`, `rule`: `deny`}]",
       "uids[0].uid: 1-101: 101 uids, at most 100 allowed in a range"},
      {"the largest range",
       "`version`: 1, `uids`: [{`uid`: `0-4294967294`, `rule`: `deny`}]",
       "uids[0].uid: 0-4294967294: 4294967295 uids, at most 100 allowed in a "
       "range"},
      {"too many uids",
       "`version`: 1, `chains`: [{`name`: `dozable`, `uids`: [`1-100`]}, "
       "{`name`: `standby`, `uids`: [`1-100`]}], "
       "`uids`: [{`uid`: `1-51`, `rule`: `deny`}]",
       "policy: lists 251 uids, at most 250 allowed"},
      {"no uid", "`version`: 1, `uids`: [{`rule`: `deny`}]",
       "uids[0].uid: is missing"},
      {"nothing said", "`version`: 1, `uids`: [{`uid`: 5}]",
       "uids[0]: says nothing of the uid"},
      {"all at once",
       "`version`: 3, `chains`: [{`uids`: [`9-8`]}, {`name`: `a`}], "
       "`uids`: [{`uid`: 1}, {`uid`: 1}]",
       "version: 3 is not known, only 1\n"
       "chains[0].name: is missing\n"
       "chains[0].type: is missing; only Android's chains have one\n"
       "chains[0].uids[0]: 9-8: the first uid is above the last\n"
       "chains[1].type: is missing; only Android's chains have one\n"
       "uids[0]: says nothing of the uid\n"
       "uids[1]: says nothing of the uid\n"
       "uids[1].uid: uid 1 is already in uids[0].uid"},
  };
  PolicyLimits limits;
  limits.range_uids = 100;
  limits.listed_uids = 250;
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const absl::StatusOr<PolicyDocument> document =
        ParsePolicyJson(absl::StrCat("{", Json(row.text), "}"), "p.json");
    ASSERT_THAT(document, IsOk());
    EXPECT_THAT(Validate(*document, limits),
                StatusIs(kInvalidArgument, Json(row.message)));
  }
}

TEST(Validate, RefusesTheThirtyThirdChain) {
  PolicyDocument document;
  document.set_version(1);
  for (int i = 0; i < 33; ++i) {
    document.add_chains()->set_name(absl::StrCat("own_", i));
    document.mutable_chains(i)->set_type(proto::CHAIN_SENSE_DENYLIST);
  }
  document.add_chains()->set_name("dozable");
  EXPECT_THAT(Validate(document),
              StatusIs(kInvalidArgument,
                       "chains[32]: too many chains, at most 32 that are not "
                       "Android's"));
  document.mutable_chains()->DeleteSubrange(32, 1);
  const absl::StatusOr<Policy> policy = Validate(document);
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(policy->FindChain("own_31")->number, 63);
}

// From the wire, not from JSON.
TEST(Validate, RefusesWhatJsonCannotSay) {
  PolicyDocument document;
  document.set_version(1);
  document.mutable_defaults()->set_rule(static_cast<proto::Action>(7));
  document.add_chains()->set_name("a");
  document.mutable_chains(0)->set_type(static_cast<proto::ChainSense>(7));
  document.mutable_chains(0)->add_uids()->set_last(0xffffffff);
  document.add_uids()->set_rule(proto::ACTION_UNSPECIFIED);
  document.mutable_uids(0)->mutable_uid();
  EXPECT_THAT(Validate(document),
              StatusIs(kInvalidArgument,
                       "defaults.rule: unknown value 7\n"
                       "chains[0].type: unknown value 7\n"
                       "chains[0].uids[0]: 0-4294967295: 4294967295 is not a "
                       "uid\n"
                       "uids[0].rule: unknown value 0"));
}

TEST(ToJson, IsMadeForReading) {
  EXPECT_EQ(ToJson(ToDocument(Policy())), R"({
  "version": 1,
  "defaults": {"rule": "allow", "internet": true},
  "chains": [],
  "uids": []
}
)");

  const Policy base;
  PolicyEdit edit(base);
  std::vector<Uid> many;
  for (uint32_t i = 0; i < 30; ++i) many.push_back(Uid{10000 + 2 * i});
  for (const Change& change : Transaction{
           SetDefaultRule{Action::kDeny},
           SetDefaultInternet{Permission::kRevoked},
           SetChainEnabled{"standby", Switch::kOn},
           DefineChain{"kids", ChainSense::kDenylist},
           ReplaceChain{"kids", {Uid{3}, Uid{1}, Uid{2}, Uid{5}}},
           DefineChain{"many", ChainSense::kAllowlist},
           ReplaceChain{"many", many}, SetUidRule{Uid{0}, Action::kAllow},
           SetUidRule{Uid{1}, Action::kAllow},
           SetInternet{Uid{1}, Permission::kGranted},
           SetInternet{Uid{2}, Permission::kRevoked},
           SetInternet{Uid{3}, Permission::kRevoked},
           SetUidRule{kMaxUid, Action::kDeny}}) {
    ASSERT_THAT(edit.Apply(change), IsOk());
  }
  Policy policy;
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  EXPECT_EQ(ToJson(ToDocument(policy)), R"({
  "version": 1,
  "defaults": {"rule": "deny", "internet": false},
  "chains": [
    {"name": "standby", "type": "denylist", "enabled": true, "uids": []},
    {"name": "kids", "type": "denylist", "enabled": false, "uids": ["1-3", 5]},
    {"name": "many", "type": "allowlist", "enabled": false, "uids": [
      10000, 10002, 10004, 10006, 10008, 10010, 10012, 10014, 10016, 10018, 10020, 10022, 10024,
      10026, 10028, 10030, 10032, 10034, 10036, 10038, 10040, 10042, 10044, 10046, 10048, 10050,
      10052, 10054, 10056, 10058
    ]}
  ],
  "uids": [
    {"uid": 0, "rule": "allow"},
    {"uid": 1, "rule": "allow", "internet": true},
    {"uid": "2-3", "internet": false},
    {"uid": 4294967294, "rule": "deny"}
  ]
}
)");
}

TEST(ToDocument, SplitsRangesThatAreTooLarge) {
  PolicyLimits limits;
  limits.range_uids = 4;
  const Policy base;
  PolicyEdit edit(base);
  std::vector<Uid> uids;
  for (uint32_t i = 0; i < 9; ++i) {
    uids.push_back(Uid{ToInt(kMaxUid) - i});
    ASSERT_THAT(edit.Apply(SetUidRule{uids.back(), Action::kDeny}), IsOk());
  }
  ASSERT_THAT(edit.Apply(ReplaceChain{"dozable", uids}), IsOk());
  Policy policy;
  PolicyEdit::ApplyDelta(edit.Delta(), policy);
  const PolicyDocument document = ToDocument(policy, limits);
  EXPECT_EQ(document.chains(0).uids_size(), 3);
  EXPECT_EQ(document.uids_size(), 3);
  const absl::StatusOr<Policy> again = Validate(document, limits);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, policy);
}

TEST(Document, ADumpAppliesAgainUnchanged) {
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    const Policy policy = RandomPolicy(random);
    const PolicyDocument document = ToDocument(policy);
    const std::string json = ToJson(document);
    const absl::StatusOr<PolicyDocument> parsed =
        ParsePolicyJson(json, "p.json");
    ASSERT_THAT(parsed, IsOk()) << json;
    EXPECT_EQ(parsed->SerializeAsString(), document.SerializeAsString())
        << json;
    const absl::StatusOr<Policy> again = Validate(*parsed);
    ASSERT_THAT(again, IsOk()) << json;
    EXPECT_TRUE(Diff(policy, *again).empty()) << json;
    EXPECT_EQ(ToJson(ToDocument(*again)), json);
  }
}

}  // namespace
}  // namespace netpolicy
