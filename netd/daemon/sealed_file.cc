// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/sealed_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"
#include "netd/daemon/file.h"

namespace netpolicy {
namespace {

std::string HeaderFor(const Seal& seal, absl::string_view body) {
  const uLong checksum =
      crc32_z(crc32_z(0, nullptr, 0),
              reinterpret_cast<const Bytef*>(body.data()), body.size());
  return absl::StrFormat("%s %d crc32=%08x length=%d\n", seal.magic,
                         seal.version, checksum, body.size());
}

// "save state PATH: cause", whatever the operation was called.
absl::Status SaveError(const char* what, const std::string& path,
                       const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("save ", what, " ", path,
                                                  ": ", status.message()));
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
  // Root alone: what is kept of whom is nobody else's business.
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

std::string SealBytes(const Seal& seal, absl::string_view body) {
  return absl::StrCat(HeaderFor(seal, body), body);
}

absl::StatusOr<absl::string_view> UnsealBytes(const Seal& seal,
                                              absl::string_view content,
                                              absl::string_view path) {
  const std::string what = absl::StrCat("load ", seal.what, " ", path, ": ");
  const std::string magic = absl::StrCat(seal.magic, " ");
  if (content.empty()) {
    return absl::DataLossError(absl::StrCat(what, "the file is empty"));
  }
  if (!absl::StartsWith(content, magic)) {
    const bool cut_off = absl::StartsWith(magic, content);
    return absl::DataLossError(absl::StrCat(
        what, cut_off ? "truncated" : absl::StrCat("not ", seal.what_of)));
  }
  const size_t end = content.substr(0, kMaxSealBytes).find('\n');
  if (end == absl::string_view::npos && content.size() < kMaxSealBytes) {
    return absl::DataLossError(
        absl::StrCat(what, "truncated in its first line"));
  }
  std::vector<absl::string_view> words =
      absl::StrSplit(content.substr(0, std::min(end, kMaxSealBytes)), ' ');
  int version = 0;
  if (!absl::SimpleAtoi(words[1], &version) || version < 1) {
    return absl::DataLossError(
        absl::StrCat(what, "corrupted: no version in its first line"));
  }
  if (version > seal.version) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, "version ", version, " is newer than ", seal.version,
                     ", the newest that this netd knows"));
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
  if (HeaderFor(seal, body) != content.substr(0, end + 1)) {
    return absl::DataLossError(
        absl::StrCat(what, "corrupted: the checksum does not match"));
  }
  return body;
}

absl::StatusOr<absl::optional<std::string>> ReadSealed(const Seal& seal,
                                                       const std::string& path,
                                                       size_t max_bytes) {
  absl::StatusOr<std::string> content =
      ReadFile(path, kMaxSealBytes + max_bytes);
  if (absl::IsNotFound(content.status())) return absl::nullopt;
  if (!content.ok()) {
    return absl::Status(content.status().code(),
                        absl::StrCat("load ", seal.what, " ", path, ": ",
                                     content.status().message()));
  }
  return absl::make_optional(*std::move(content));
}

absl::StatusOr<StagedFile> StagedFile::Stage(const Seal& seal,
                                             const std::string& path,
                                             absl::string_view content) {
  StagedFile staged(seal.what, path, absl::StrCat(path, ".new"));
  const absl::Status written = WriteAndSync(staged.staged_, content);
  if (!written.ok()) return SaveError(seal.what, path, written);
  return staged;
}

StagedFile::~StagedFile() {
  if (!staged_.empty()) unlink(staged_.c_str());
}

absl::Status StagedFile::Publish() {
  if (rename(staged_.c_str(), path_.c_str()) != 0) {
    return SaveError(what_, path_, StatusFromErrno(errno, "rename"));
  }
  staged_.clear();
  const absl::Status synced = SyncDirectory(path_);
  return synced.ok() ? synced : SaveError(what_, path_, synced);
}

}  // namespace netpolicy
