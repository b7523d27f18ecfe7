// SPDX-License-Identifier: Apache-2.0

// What `ndc top` makes of counters that grow.

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "netd/cli/commands.h"
#include "netd/cli/fake_names.h"
#include "netd/cli/fake_policy.h"
#include "netd/cli/screen.h"

namespace netpolicy::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

TrafficCounters Counters(uint64_t packets, uint64_t bytes) {
  return {
      .packets = packets, .bytes = bytes, .skbs = packets, .skb_bytes = bytes};
}

StatsRow Row(uint32_t uid, TrafficCounters rx, TrafficCounters tx) {
  StatsRow row;
  row.uid = Uid{uid};
  row.ifindex = IfIndex{2};
  row.rx = rx;
  row.tx = tx;
  return row;
}

// Says at each reading what its list has next, and the last for ever.
class Readings : public FakePolicy {
 public:
  explicit Readings(std::vector<absl::StatusOr<StatsSnapshot>> list)
      : list_(std::move(list)) {}

  absl::StatusOr<StatsSnapshot> Stats() override {
    const auto& now = list_[std::min(next_, list_.size() - 1)];
    ++next_;
    return now;
  }

 private:
  std::vector<absl::StatusOr<StatsSnapshot>> list_;
  size_t next_ = 0;
};

// Keeps the pages it is shown, and ends when it has so many.
class FakeScreen : public Screen {
 public:
  FakeScreen(TerminalSize size, std::function<bool(absl::Duration)> wait,
             std::vector<std::string>& pages)
      : size_(size), wait_(std::move(wait)), pages_(pages) {}

  TerminalSize size() const override { return size_; }
  bool Show(absl::string_view page) override {
    pages_.emplace_back(page);
    return true;
  }
  bool Wait(absl::Duration time) override { return wait_(time); }

 private:
  TerminalSize size_;
  std::function<bool(absl::Duration)> wait_;
  std::vector<std::string>& pages_;
};

class TopTest : public ::testing::Test {
 protected:
  TopTest() {
    environment_.names = &names_;
    environment_.connect = [this](const GlobalOptions&)
        -> absl::StatusOr<std::unique_ptr<PolicyInterface>> {
      return std::make_unique<Readings>(readings_);
    };
    environment_.stream = [this](absl::string_view text) {
      absl::StrAppend(&streamed_, text);
      return true;
    };
    environment_.wait = [this](absl::Duration time) {
      uptime_ += time;
      return true;
    };
    environment_.uptime = [this] { return uptime_; };
    environment_.open_screen = [this]() -> std::unique_ptr<Screen> {
      if (terminal_.rows == 0) return nullptr;
      return std::make_unique<FakeScreen>(terminal_, environment_.wait, pages_);
    };
  }

  // A reading of these UIDs.
  static StatsSnapshot Of(std::vector<StatsRow> rows) {
    StatsSnapshot stats;
    stats.rows = std::move(rows);
    return stats;
  }

  std::string Top(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "top");
    streamed_.clear();
    const Answer answer = cli::Run(arguments, environment_);
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    return streamed_;
  }

  // The first word of each line behind the header.
  static std::vector<std::string> Subjects(const std::string& page) {
    std::vector<std::string> subjects;
    const std::vector<std::string> lines = absl::StrSplit(page, '\n');
    for (size_t i = 3; i < lines.size() && !lines[i].empty(); ++i) {
      subjects.push_back(lines[i].substr(0, lines[i].find(' ')));
    }
    return subjects;
  }

  FakeNames names_;
  Environment environment_;
  std::vector<absl::StatusOr<StatsSnapshot>> readings_;
  std::string streamed_;
  absl::Duration uptime_ = absl::Seconds(1000);
  TerminalSize terminal_{0, 0};  // none
  std::vector<std::string> pages_;
};

TEST_F(TopTest, ShowsWhatPassedInTheIntervalBySecond) {
  readings_ = {
      Of({Row(10001, Counters(100, 100000), Counters(50, 5000))}),
      Of({Row(10001, Counters(120, 120480), Counters(51, 6024)),
          Row(10002, Counters(4, 4096), Counters(2, 2048))}),
  };
  EXPECT_EQ(Top({"--once", "--interval", "2"}),
            R"(ndc top, 2.0 s: 12.0 KiB/s in, 1.50 KiB/s out, 0 refused/s

UID                    RX          TX  RX PKT/S  TX PKT/S  REFUSED/S     SINCE
10001 (alice)  10.0 KiB/s     512 B/s        10       0.5          0  21.0 KiB
10002 (bob)    2.00 KiB/s  1.00 KiB/s       2.0       1.0          0  6.00 KiB
)");
}

TEST_F(TopTest, TheBusiestIsFirstAndTheIdleStay) {
  const auto reading = [](uint64_t a, uint64_t b, uint64_t c) {
    return Of({Row(1, Counters(a, a), {}), Row(2, {}, Counters(b, b)),
               Row(3, Counters(c, c), Counters(c, c)),
               Row(4, Counters(7, 7), Counters(7, 7))});
  };
  readings_ = {reading(0, 0, 0), reading(10, 30, 8), reading(11, 30, 8)};
  const std::vector<std::string> pages =
      absl::StrSplit(Top({"--count", "2"}), "\nndc top");
  ASSERT_EQ(pages.size(), 2u);
  // Whoever did nothing since the beginning is not there.
  EXPECT_THAT(Subjects(pages[0]), ElementsAre("2", "3", "1"));
  EXPECT_THAT(Subjects(pages[1]), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Subjects(Top({"--once", "--sort", "rx"})),
              ElementsAre("1", "3", "2"));
  EXPECT_THAT(Subjects(Top({"--once", "--sort", "tx"})),
              ElementsAre("2", "3", "1"));
}

TEST_F(TopTest, WhatIsRefusedCountsToo) {
  StatsSnapshot before = Of({Row(1, Counters(1, 1), {})});
  StatsSnapshot after = Of({Row(1, Counters(9, 900), {})});
  DropRow drop;
  drop.uid = Uid{2};
  drop.direction = Direction::kEgress;
  drop.packets = 5;
  after.drops = {drop};
  readings_ = {before, after};
  const std::string page = Top({"--once", "--sort", "refused"});
  EXPECT_THAT(page, HasSubstr("5.0 refused/s"));
  EXPECT_THAT(Subjects(page), ElementsAre("2", "1"));
}

TEST_F(TopTest, OverflowIsSaidFirst) {
  StatsSnapshot before = Of({Row(1, Counters(1, 1), {})});
  StatsSnapshot after = Of({Row(1, Counters(9, 900), {})});
  after.overflow_rx = Counters(3, 300);
  readings_ = {before, after};
  const std::string page = Top({"--once"});
  EXPECT_THAT(Subjects(page), ElementsAre("unknown", "1"));
  EXPECT_THAT(page, HasSubstr(": 1.17 KiB/s in,"));
}

TEST_F(TopTest, TablesMadeAnewAreNoFault) {
  readings_ = {Of({Row(1, Counters(100, 100000), {})}),
               Of({Row(1, Counters(1, 10), {})}),
               Of({Row(1, Counters(3, 30), {})})};
  const std::string page = Top({"--once"});
  EXPECT_THAT(page, HasSubstr(": 20 B/s in,"));
  EXPECT_EQ(page.find("ndc top"), page.rfind("ndc top"));
}

TEST_F(TopTest, ATerminalIsFilledAndNotOverrun) {
  std::vector<StatsRow> rows;
  for (uint32_t uid = 1; uid <= 50; ++uid) {
    rows.push_back(Row(uid, Counters(uid, 100 * uid), {}));
  }
  readings_ = {Of({}), Of(rows)};
  terminal_ = {12, 80};
  EXPECT_EQ(Top({"--count", "1"}), "");
  ASSERT_EQ(pages_.size(), 2u);
  EXPECT_EQ(pages_[0], "ndc top: counting for 1s; q ends");
  EXPECT_EQ(std::count(pages_[1].begin(), pages_[1].end(), '\n'), 12);
  EXPECT_THAT(pages_[1], HasSubstr("\nand 42 more\n"));
  EXPECT_THAT(pages_[1], HasSubstr("\n50 "));
}

TEST_F(TopTest, PlainAndOnceLeaveTheTerminalAlone) {
  readings_ = {Of({}), Of({Row(1, Counters(1, 1), {})})};
  terminal_ = {12, 80};
  EXPECT_THAT(Top({"--once"}), StartsWith("ndc top, 1.0 s: 1 B/s in"));
  EXPECT_THAT(Top({"--plain", "--count", "2"}),
              StartsWith("ndc top, 1.0 s: 1 B/s in"));
  EXPECT_TRUE(pages_.empty());
}

TEST_F(TopTest, EndsWhenItIsToldTo) {
  readings_ = {Of({}), Of({Row(1, Counters(1, 1), {})})};
  environment_.wait = [](absl::Duration) { return false; };
  EXPECT_EQ(Top({}), "");
  environment_.wait = [](absl::Duration) { return true; };
  uptime_ = absl::ZeroDuration();
  environment_.uptime = [this] { return uptime_ += absl::Seconds(1); };
  environment_.stream = [this](absl::string_view text) {
    absl::StrAppend(&streamed_, text);
    return false;  // nobody reads any more
  };
  EXPECT_THAT(Top({}), StartsWith("ndc top"));
}

TEST_F(TopTest, JsonIsALineForEachInterval) {
  StatsSnapshot after = Of({Row(10001, Counters(9, 900), Counters(1, 100))});
  after.overflow_tx = Counters(2, 50);
  readings_ = {Of({}), after};
  const std::string text = Top({"--count", "2", "--json", "--interval", "0.5"});
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), 3u);
  const Json line = Json::parse(lines[0]);
  EXPECT_EQ(line["version"], 1);
  EXPECT_EQ(line["by"], "uid");
  EXPECT_EQ(line["seconds"], 0.5);
  ASSERT_EQ(line["rows"].size(), 1u);
  const Json& row = line["rows"][0];
  EXPECT_EQ(row["uid"], 10001);
  EXPECT_EQ(row["user"], "alice");
  EXPECT_EQ(row["rx"]["bytes"], 900);
  EXPECT_EQ(row["rx_bytes_per_second"], 1800.0);
  EXPECT_EQ(row["tx_bytes_per_second"], 200.0);
  EXPECT_EQ(row["refused"]["egress"], 0);
  EXPECT_EQ(line["overflow"]["tx"]["packets"], 2);
  EXPECT_EQ(line["total"]["tx"]["bytes"], 150);
  // Only what grew.
  EXPECT_EQ(Json::parse(lines[1])["rows"].size(), 0u);
}

TEST_F(TopTest, ByOthersThanUids) {
  readings_ = {
      Of({}), Of({Row(1, Counters(9, 900), {}), Row(2, Counters(1, 100), {})})};
  const std::string page = Top({"--once", "--by", "iface"});
  EXPECT_THAT(page, HasSubstr("1000 B/s"));
  EXPECT_THAT(page, Not(HasSubstr("REFUSED")));
}

TEST_F(TopTest, WrongOptionsAreSaid) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{
           {"top", "--interval", "0"},
           {"top", "--interval", "x"},
           {"top", "--count", "0"},
           {"top", "--once", "--count", "2"},
           {"top", "--by", "user"},
           {"top", "--by", "tag", "--sort", "refused"}}) {
    const Answer answer = cli::Run(arguments, environment_);
    EXPECT_EQ(answer.exit_code, 2) << arguments.back();
    EXPECT_NE(answer.err, "") << arguments.back();
  }
}

TEST_F(TopTest, WaitsOnAScreenForANetdThatIsStartedAgain) {
  readings_ = {Of({Row(10001, Counters(1, 100), {})}),
               absl::UnavailableError("connect /run/netd.sock: refused"),
               absl::UnavailableError("connect /run/netd.sock: no such file"),
               Of({Row(10001, Counters(4, 6244), {})})};
  terminal_ = {24, 80};
  Top({"--count", "1", "--interval", "1"});
  ASSERT_EQ(pages_.size(), 4u);
  EXPECT_THAT(pages_[1], HasSubstr("waiting for netd: connect /run/netd.sock"));
  EXPECT_THAT(pages_[2], HasSubstr("no such file"));
  EXPECT_THAT(pages_[3], StartsWith("ndc top, 3.0 s: 2.00 KiB/s in"));
}

TEST_F(TopTest, EndsInAScriptWhenNobodyAnswers) {
  readings_ = {Of({Row(10001, Counters(1, 100), {})}),
               absl::UnavailableError("connect /run/netd.sock: refused")};
  const Answer answer = cli::Run({"--json", "top"}, environment_);
  EXPECT_NE(answer.exit_code, 0);
  EXPECT_THAT(answer.err, HasSubstr("refused"));
}

}  // namespace
}  // namespace netpolicy::cli
