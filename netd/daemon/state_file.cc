// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/model/document.h"
#include "netd/daemon/file.h"

namespace netpolicy {
namespace {

constexpr char kMagic[] = "netpolicy-state ";
constexpr size_t kMaxHeaderBytes = 128;

// What a state file holds was in force, so only the size of the file bounds it.
constexpr PolicyLimits kLimits = {
    .range_uids = 65536, .listed_uids = std::numeric_limits<uint32_t>::max()};

std::string HeaderFor(absl::string_view body) {
  const uLong checksum =
      crc32_z(crc32_z(0, nullptr, 0),
              reinterpret_cast<const Bytef*>(body.data()), body.size());
  return absl::StrFormat("%s%d crc32=%08x length=%d\n", kMagic, kStateVersion,
                         checksum, body.size());
}

// "save state PATH: cause", whatever the operation was called.
absl::Status SaveError(const std::string& path, const absl::Status& status) {
  return absl::Status(
      status.code(), absl::StrCat("save state ", path, ": ", status.message()));
}

absl::Status SyncDirectory(const std::string& path) {
  const std::string directory = DirectoryOf(path);
  const std::string what = absl::StrCat("sync ", directory);
  const UniqueFd fd(
      open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok() || fsync(fd.get()) != 0) return StatusFromErrno(errno, what);
  return absl::OkStatus();
}

absl::Status WriteAndSync(const std::string& path, absl::string_view content) {
  // Root alone: what a policy says of whom is nobody else's business.
  UniqueFd fd(open(path.c_str(),
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                   S_IRUSR | S_IWUSR));
  if (!fd.ok()) return StatusFromErrno(errno, absl::StrCat("open ", path));
  NP_RETURN_IF_ERROR(WriteAll(fd.get(), content, path));
  if (fsync(fd.get()) != 0) {
    return StatusFromErrno(errno, absl::StrCat("sync ", path));
  }
  // Some file systems report only here that there was no room.
  if (close(fd.release()) != 0) {
    return StatusFromErrno(errno, absl::StrCat("close ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> EncodeState(const Policy& policy) {
  const std::string body = ToJson(ToDocument(policy, kLimits));
  if (body.size() > kMaxPolicyJsonBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("encode policy: ", body.size(), " bytes exceed the ",
                     kMaxPolicyJsonBytes, " of a policy file"));
  }
  return absl::StrCat(HeaderFor(body), body);
}

absl::StatusOr<Policy> DecodeState(absl::string_view content,
                                   absl::string_view path) {
  const std::string what = absl::StrCat("load state ", path, ": ");
  if (content.empty()) {
    return absl::DataLossError(absl::StrCat(what, "the file is empty"));
  }
  if (!absl::StartsWith(content, kMagic)) {
    const bool cut_off = absl::StartsWith(kMagic, content);
    return absl::DataLossError(
        absl::StrCat(what, cut_off ? "truncated" : "not a state file of netd"));
  }
  const size_t end = content.substr(0, kMaxHeaderBytes).find('\n');
  if (end == absl::string_view::npos && content.size() < kMaxHeaderBytes) {
    return absl::DataLossError(
        absl::StrCat(what, "truncated in its first line"));
  }
  std::vector<absl::string_view> words =
      absl::StrSplit(content.substr(0, std::min(end, kMaxHeaderBytes)), ' ');
  int version = 0;
  if (!absl::SimpleAtoi(words[1], &version) || version < 1) {
    return absl::DataLossError(
        absl::StrCat(what, "corrupted: no version in its first line"));
  }
  if (version > kStateVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, "version ", version, " is newer than ",
                     kStateVersion, ", the newest that this netd knows"));
  }
  size_t length = 0;
  if (end == absl::string_view::npos || words.size() != 4 ||
      !absl::ConsumePrefix(&words[3], "length=") ||
      !absl::SimpleAtoi(words[3], &length)) {
    return absl::DataLossError(
        absl::StrCat(what, "corrupted: no length in its first line"));
  }
  const absl::string_view body = content.substr(end + 1);
  if (body.size() < length) {
    return absl::DataLossError(absl::StrCat(what, "truncated: ", body.size(),
                                            " of ", length, " bytes"));
  }
  if (body.size() > length) {
    return absl::DataLossError(absl::StrCat(
        what, "corrupted: ", body.size() - length, " bytes too many"));
  }
  // Also anything in the header that could be written in two ways.
  if (HeaderFor(body) != content.substr(0, end + 1)) {
    return absl::DataLossError(
        absl::StrCat(what, "corrupted: the checksum does not match"));
  }
  const auto parse = [&]() -> absl::StatusOr<Policy> {
    NP_ASSIGN_OR_RETURN(const PolicyDocument document,
                        ParsePolicyJson(body, "policy"));
    return Validate(document, kLimits);
  };
  absl::StatusOr<Policy> policy = parse();
  if (policy.ok()) return policy;
  return absl::Status(policy.status().code(),
                      absl::StrCat(what, policy.status().message()));
}

StagedState::~StagedState() {
  if (!staged_.empty()) unlink(staged_.c_str());
}

absl::Status StagedState::Publish() {
  if (rename(staged_.c_str(), path_.c_str()) != 0) {
    return SaveError(path_, StatusFromErrno(errno, "rename"));
  }
  staged_.clear();
  const absl::Status synced = SyncDirectory(path_);
  return synced.ok() ? synced : SaveError(path_, synced);
}

absl::StatusOr<absl::optional<Policy>> StateFile::Load() const {
  const absl::StatusOr<std::string> content =
      ReadFile(path_, kMaxHeaderBytes + kMaxPolicyJsonBytes);
  if (absl::IsNotFound(content.status())) return absl::nullopt;
  if (!content.ok()) {
    return absl::Status(
        content.status().code(),
        absl::StrCat("load state ", path_, ": ", content.status().message()));
  }
  NP_ASSIGN_OR_RETURN(Policy policy, DecodeState(*content, path_));
  return absl::make_optional(std::move(policy));
}

absl::StatusOr<StagedState> StateFile::Stage(const Policy& policy) const {
  const absl::StatusOr<std::string> content = EncodeState(policy);
  if (!content.ok()) return SaveError(path_, content.status());
  StagedState staged(path_, absl::StrCat(path_, ".new"));
  const absl::Status written = WriteAndSync(staged.staged_, *content);
  if (!written.ok()) return SaveError(path_, written);
  return staged;
}

absl::Status StateFile::Save(const Policy& policy) const {
  NP_ASSIGN_OR_RETURN(StagedState staged, Stage(policy));
  return staged.Publish();
}

}  // namespace netpolicy
