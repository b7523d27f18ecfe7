// SPDX-License-Identifier: Apache-2.0

// The example as its comment shows it: an ordinary user, a real netd, and the
// counters that ndc prints.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/testing/net_namespace.h"
#include "libpolicy/testing/process.h"
#include "libpolicy/testing/status_matchers.h"
#include "netd/daemon/netd_process.h"

namespace netpolicy::testing {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kDownloader = 10071;
constexpr uid_t kAlice = 10072;
constexpr uint16_t kPort = 8080;

// Gives as many bytes as the path says.
int Serve(int listener) {
  for (;;) {
    const UniqueFd client(accept(listener, nullptr, nullptr));
    if (!client.ok()) return 1;
    char request[1024] = {};
    if (recv(client.get(), request, sizeof(request) - 1, 0) <= 0) continue;
    const std::string answer =
        "HTTP/1.0 200 OK\r\n\r\n" +
        std::string(strtoul(request + strlen("GET /"), nullptr, 10), 'x');
    for (size_t sent = 0; sent < answer.size();) {
      const ssize_t now = send(client.get(), answer.data() + sent,
                               answer.size() - sent, MSG_NOSIGNAL);
      if (now <= 0) break;
      sent += static_cast<size_t>(now);
    }
  }
}

struct Ended {
  int code = -1;
  std::string output;
};

class DownloadTest : public NetdFixture {
 protected:
  void SetUp() override {
    NetdFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    absl::StatusOr<NetNamespace> ns = NetNamespace::Create();
    ASSERT_THAT(ns, IsOk());
    ns_ = std::make_unique<NetNamespace>(*std::move(ns));
    netd_ = StartReady();
    ASSERT_NE(netd_, nullptr);
    mkdir(dir_->File("downloads").c_str(), 0755);
    ASSERT_EQ(chown(dir_->File("downloads").c_str(), kDownloader, kDownloader),
              0);
    // Where that user can get at it.
    program_ = dir_->File("download");
    std::filesystem::copy_file("examples/download/download", program_);
    StartServer();
  }

  void StartServer() {
    int ends[2] = {-1, -1};
    ASSERT_EQ(pipe(ends), 0);
    const UniqueFd ready(ends[0]);
    const UniqueFd tell(ends[1]);
    ChildOptions options;
    options.netns = ns_->fd();
    auto server = ChildProcess::Start(options, [&] {
      const int listener = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address = {};
      address.sin_family = AF_INET;
      address.sin_port = htons(kPort);
      if (bind(listener, reinterpret_cast<sockaddr*>(&address),
               sizeof(address)) != 0 ||
          listen(listener, 16) != 0 || write(tell.get(), "r", 1) != 1) {
        return 1;
      }
      return Serve(listener);
    });
    ASSERT_THAT(server, IsOk());
    server_ = std::make_unique<ChildProcess>(*std::move(server));
    char byte = 0;
    ASSERT_EQ(read(ready.get(), &byte, 1), 1);
  }

  Ended Execute(const ChildOptions& options, const std::string& program,
                std::vector<std::string> arguments) {
    const std::string output = dir_->File("output");
    arguments.insert(arguments.begin(), program);
    const UniqueFd file(
        open(output.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    auto child = ChildProcess::Start(options, [&] {
      dup2(file.get(), STDOUT_FILENO);
      dup2(file.get(), STDERR_FILENO);
      if (options.uid.has_value() &&
          chdir(dir_->File("downloads").c_str()) != 0) {
        return 126;
      }
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      return 127;
    });
    EXPECT_THAT(child, IsOk());
    if (!child.ok()) return {};
    const absl::StatusOr<int> code = child->Wait(absl::Seconds(20));
    EXPECT_THAT(code, IsOk());
    return {.code = code.value_or(-1), .output = ContentOf(output)};
  }

  Ended Download(std::vector<std::string> arguments) {
    ChildOptions options;
    options.uid = kDownloader;
    options.cgroup = cgroup_->path();
    options.netns = ns_->fd();
    arguments.insert(arguments.begin(), Socket());
    return Execute(options, program_, std::move(arguments));
  }

  // Bytes received under a tag, as ndc says them.
  uint64_t ReceivedUnder(uint32_t tag, uid_t uid) {
    const Ended ndc = Execute({}, "netd/cli/ndc",
                              {"--socket", Socket(), "--json", "stats", "--by",
                               "tag", "--uid", absl::StrCat(uid)});
    EXPECT_EQ(ndc.code, 0) << ndc.output;
    const auto json = nlohmann::json::parse(ndc.output, nullptr, false);
    for (const auto& row : json["rows"]) {
      if (row["tag"] == tag) return row["rx"]["bytes"];
    }
    ADD_FAILURE() << "no tag " << tag << " of uid " << uid << " in "
                  << ndc.output;
    return 0;
  }

  static std::string Url(int bytes) {
    return absl::StrCat("http://127.0.0.1:", kPort, "/", bytes);
  }

  std::string program_;
  std::unique_ptr<NetNamespace> ns_;
  std::unique_ptr<NetdProcess> netd_;
  std::unique_ptr<ChildProcess> server_;
};

TEST_F(DownloadTest, TellsItsTransfersApart) {
  const Ended download = Download({"1", Url(1000000), "2", Url(50000)});
  EXPECT_EQ(download.code, 0) << download.output;
  EXPECT_EQ(download.output,
            "tag 1: 1000000, 1000000 bytes\ntag 2: 50000, 50000 bytes\n");
  EXPECT_EQ(ContentOf(dir_->File("downloads/50000")), std::string(50000, 'x'));
  for (const auto& [tag, bytes] :
       {std::pair(1u, 1000000u), std::pair(2u, 50000u)}) {
    const uint64_t received = ReceivedUnder(tag, kDownloader);
    // With the headers of what carried it, and of the handshakes.
    EXPECT_GT(received, bytes);
    EXPECT_LT(received, bytes + bytes / 10 + 1000);
  }
}

TEST_F(DownloadTest, ChargesOthersOncePermitted) {
  const std::vector<std::string> arguments = {absl::StrCat("3@", kAlice),
                                              Url(20000)};
  const Ended refused = Download(arguments);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output,
              HasSubstr("operation not permitted: uid 10071 may not charge uid "
                        "10072"));
  ASSERT_THAT(
      Commit({SetUpdateDeviceStats{Uid{kDownloader}, Permission::kGranted}}),
      IsOk());
  const Ended download = Download(arguments);
  EXPECT_EQ(download.code, 0) << download.output;
  EXPECT_GT(ReceivedUnder(3, kAlice), 20000u);
}

TEST_F(DownloadTest, SaysInOneLineWhatIsWrong) {
  EXPECT_EQ(Download({}).code, 2);
  for (const auto& [arguments, message] :
       {std::pair(std::vector<std::string>{"x", Url(1)},
                  "download: x: a tag is a number\n"),
        std::pair(std::vector<std::string>{"1", "ftp://x/y"},
                  "download: ftp://x/y: not http://HOST[:PORT]/PATH\n")}) {
    const Ended ended = Download(arguments);
    EXPECT_EQ(ended.code, 1);
    EXPECT_EQ(ended.output, message);
  }
}

}  // namespace
}  // namespace netpolicy::testing
