// SPDX-License-Identifier: Apache-2.0

// A small download manager whose transfers are told apart in the counters:
//
//   download NETD_SOCKET TAG[@UID] URL [TAG[@UID] URL]...
//
// fetches each http:// URL into a file of the working directory, tagged with a
// number; with @UID it is charged to the one it was fetched for. An ordinary
// user may do this for itself; for others it needs update_device_stats:
//
//   $ download /run/netd/netd.sock 1 http://10.0.0.2/film 2
//   http://10.0.0.2/song # ndc uid update-device-stats downloader on $ download
//   /run/netd/netd.sock 3@alice http://10.0.0.2/update # ndc stats --by tag

#include <netdb.h>
#include <pwd.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "libpolicy/base/unique_fd.h"
#include "netd/service/open_charging.h"

namespace {

using netpolicy::ChargingInterface;
using netpolicy::SocketTag;
using netpolicy::UniqueFd;

absl::Status Wrong(const std::string& what) {
  return absl::InvalidArgumentError(what);
}

absl::StatusOr<SocketTag> ParseTag(const std::string& text) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('@', 1));
  SocketTag tag;
  if (!absl::SimpleAtoi(parts.first, &tag.tag)) {
    return Wrong(text + ": a tag is a number");
  }
  if (parts.second.empty()) return tag;
  uint32_t uid = 0;
  if (!absl::SimpleAtoi(parts.second, &uid)) {
    const passwd* user = getpwnam(parts.second.c_str());
    if (user == nullptr) return Wrong(text + ": no such user");
    uid = user->pw_uid;
  }
  tag.charge = netpolicy::Uid{uid};
  return tag;
}

struct Url {
  std::string host;
  std::string port = "80";
  std::string path;
  std::string file;
};

absl::StatusOr<Url> ParseUrl(const std::string& text) {
  constexpr char kScheme[] = "http://";
  const size_t begin = strlen(kScheme);
  const size_t slash = text.find('/', begin);
  if (!absl::StartsWith(text, kScheme) || slash == std::string::npos) {
    return Wrong(text + ": not http://HOST[:PORT]/PATH");
  }
  Url url;
  url.host = text.substr(begin, slash - begin);
  if (const size_t colon = url.host.find(':'); colon != std::string::npos) {
    url.port = url.host.substr(colon + 1);
    url.host.resize(colon);
  }
  url.path = text.substr(slash);
  url.file = url.path.substr(url.path.rfind('/') + 1);
  if (url.file.empty() || url.file == "..") return Wrong(text + ": no file");
  return url;
}

// Tagged before it connects, so that the handshake is charged, too.
absl::StatusOr<UniqueFd> Connect(const Url& url, const SocketTag& tag,
                                 ChargingInterface& charging) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  absl::Status status = charging.TagSocket(fd.get(), tag);
  if (status.ok() &&
      connect(fd.get(), found->ai_addr, found->ai_addrlen) != 0) {
    status = absl::UnavailableError(strerror(errno));
  }
  freeaddrinfo(found);
  if (!status.ok()) return status;
  return fd;
}

absl::Status Fetch(const Url& url, const SocketTag& tag,
                   ChargingInterface& charging) {
  absl::StatusOr<UniqueFd> fd = Connect(url, tag, charging);
  if (!fd.ok()) return fd.status();
  const std::string request = absl::StrCat(
      "GET ", url.path, " HTTP/1.0\r\nHost: ", url.host, "\r\n\r\n");
  if (send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError(strerror(errno));
  }
  std::string answer;
  char buffer[65536];
  ssize_t got = 0;
  while ((got = recv(fd->get(), buffer, sizeof(buffer), 0)) > 0) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  const size_t body = answer.find("\r\n\r\n");
  if (got < 0 || body == std::string::npos ||
      answer.substr(0, answer.find("\r\n")).find(" 200 ") ==
          std::string::npos) {
    return absl::UnavailableError("the server does not give it");
  }
  std::FILE* const file = std::fopen(url.file.c_str(), "wb");
  if (file == nullptr) return absl::UnavailableError(strerror(errno));
  const size_t size = answer.size() - body - 4;
  const bool written =
      std::fwrite(answer.data() + body + 4, 1, size, file) == size;
  if (std::fclose(file) != 0 || !written) {
    return absl::UnavailableError(strerror(errno));
  }
  std::printf("tag %u: %s, %zu bytes\n", tag.tag, url.file.c_str(), size);
  return absl::OkStatus();
}

int Fail(const std::string& what, const absl::Status& status) {
  std::fprintf(stderr, "download: %s%s\n", what.c_str(),
               std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc % 2 != 0) {
    std::fputs("usage: download NETD_SOCKET TAG[@UID] URL...\n", stderr);
    return 2;
  }
  auto charging = netpolicy::OpenCharging({.socket = argv[1]});
  if (!charging.ok()) return Fail("", charging.status());
  for (int i = 2; i < argc; i += 2) {
    const absl::StatusOr<SocketTag> tag = ParseTag(argv[i]);
    if (!tag.ok()) return Fail("", tag.status());
    const absl::StatusOr<Url> url = ParseUrl(argv[i + 1]);
    if (!url.ok()) return Fail("", url.status());
    const absl::Status fetched = Fetch(*url, *tag, **charging);
    if (!fetched.ok()) return Fail(absl::StrCat(argv[i + 1], ": "), fetched);
  }
  return 0;
}
