// SPDX-License-Identifier: Apache-2.0

#include "netd/daemon/commit_log.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/model/wire.h"
#include "netd/daemon/commit_log.pb.h"
#include "netd/daemon/file.h"

namespace netpolicy {
namespace {

constexpr size_t kHeaderBytes = 8;
// A file can't be larger than twice the limits, but for the records that the
// limits can't hold down; beyond this it is not read.
constexpr size_t kMaxFileBytes = 256U << 20;
// No policy in force is larger: its tables hold 2^24 UIDs at most.
constexpr uint32_t kMaxPolicyBytes = 1U << 30;

std::string Magic() {
  return absl::StrCat("netpolicy-commits ", kCommitLogVersion, "\n");
}

void PutU32(uint32_t value, std::string& to) {
  const uint32_t wire = htobe32(value);
  to.append(reinterpret_cast<const char*>(&wire), sizeof(wire));
}

uint32_t GetU32(absl::string_view bytes) {
  uint32_t wire = 0;
  std::memcpy(&wire, bytes.data(), sizeof(wire));
  return be32toh(wire);
}

uint32_t Checksum(absl::string_view bytes) {
  return static_cast<uint32_t>(
      crc32_z(crc32_z(0, nullptr, 0),
              reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

absl::StatusOr<std::string> Deflate(const std::string& text) {
  uLongf size = compressBound(text.size());
  std::string out(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                reinterpret_cast<const Bytef*>(text.data()), text.size(),
                Z_BEST_SPEED) != Z_OK) {
    return absl::ResourceExhaustedError("deflate policy: out of memory");
  }
  out.resize(size);
  return out;
}

absl::StatusOr<Policy> PolicyOf(absl::string_view record) {
  storage::Commit commit;
  if (!commit.ParseFromArray(record.data() + kHeaderBytes,
                             static_cast<int>(record.size() - kHeaderBytes)) ||
      commit.policy_bytes() > kMaxPolicyBytes) {
    return absl::DataLossError("read commit: not a record");
  }
  std::string bytes(commit.policy_bytes(), '\0');
  uLongf size = bytes.size();
  proto::Policy policy;
  if (uncompress(reinterpret_cast<Bytef*>(bytes.data()), &size,
                 reinterpret_cast<const Bytef*>(commit.policy().data()),
                 commit.policy().size()) != Z_OK ||
      size != bytes.size() || !policy.ParseFromString(bytes)) {
    return absl::DataLossError("read commit: no policy in the record");
  }
  absl::StatusOr<Policy> value = FromProto(policy);
  if (value.ok()) return value;
  return absl::DataLossError(
      absl::StrCat("read commit: ", value.status().message()));
}

CommitRecord RecordOf(absl::string_view record) {
  storage::Commit commit;
  // Checked when it came in.
  commit.ParseFromArray(record.data() + kHeaderBytes,
                        static_cast<int>(record.size() - kHeaderBytes));
  CommitRecord value;
  value.generation = Generation{commit.generation()};
  value.time = absl::FromUnixNanos(commit.time_ns());
  if (commit.has_author()) {
    value.author = CommitAuthor{.uid = commit.author().uid(),
                                .pid = commit.author().pid(),
                                .command = commit.author().command()};
  }
  value.difference = commit.difference();
  return value;
}

std::string Cut(absl::string_view difference) {
  if (difference.size() <= kMaxLoggedDifference) return std::string(difference);
  const size_t end = difference.rfind('\n', kMaxLoggedDifference);
  const absl::string_view kept =
      difference.substr(0, end == absl::string_view::npos ? 0 : end + 1);
  const auto lines =
      std::count(difference.begin() + kept.size(), difference.end(), '\n');
  return absl::StrCat(kept, "... and ", lines, " lines more\n");
}

absl::StatusOr<std::string> Encode(const CommitRecord& record,
                                   const Policy& policy) {
  storage::Commit commit;
  commit.set_generation(ToInt(record.generation));
  commit.set_time_ns(absl::ToUnixNanos(record.time));
  if (record.author.has_value()) {
    storage::Commit::Author& author = *commit.mutable_author();
    author.set_uid(record.author->uid);
    author.set_pid(record.author->pid);
    author.set_command(record.author->command);
  }
  commit.set_difference(Cut(record.difference));
  const std::string bytes = ToProto(policy).SerializeAsString();
  NP_ASSIGN_OR_RETURN(*commit.mutable_policy(), Deflate(bytes));
  commit.set_policy_bytes(static_cast<uint32_t>(bytes.size()));

  const std::string message = commit.SerializeAsString();
  std::string out;
  PutU32(static_cast<uint32_t>(message.size()), out);
  PutU32(Checksum(message), out);
  return out + message;
}

absl::Status Named(absl::string_view operation, const std::string& path,
                   const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrCat(operation, " commit log ", path, ": ", status.message()));
}

}  // namespace

absl::StatusOr<CommitLog> CommitLog::Open(std::string path,
                                          const CommitLogLimits& limits) {
  CommitLog log(std::move(path), limits);
  NP_RETURN_IF_ERROR(Named("open", log.path_, log.Load()));
  return log;
}

absl::Status CommitLog::Load() {
  absl::StatusOr<std::string> content = ReadFile(path_, kMaxFileBytes);
  if (absl::IsNotFound(content.status())) return absl::OkStatus();
  // A file beyond all bounds, or something that is no file, is set aside like
  // one that can't be understood.
  const bool readable = content.ok();
  if (!readable && !absl::IsInvalidArgument(content.status())) {
    return content.status();
  }
  const size_t good = readable ? Parse(*content) : 0;
  if (readable && good == content->size()) {
    fd_.reset(
        open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    if (!fd_.ok()) return StatusFromErrno(errno, "open");
    file_bytes_ = good;
    return absl::OkStatus();
  }
  struct stat info = {};
  if (stat(path_.c_str(), &info) != 0) return StatusFromErrno(errno, "stat");
  damaged_bytes_ = static_cast<size_t>(info.st_size) - good;
  if (rename(path_.c_str(), absl::StrCat(path_, ".damaged").c_str()) != 0) {
    return StatusFromErrno(errno, "set aside");
  }
  return entries_.empty() ? absl::OkStatus() : ReplaceFile();
}

// Adds all records up to the first that makes no sense; how many bytes they
// take.
size_t CommitLog::Parse(absl::string_view content) {
  const std::string magic = Magic();
  if (!absl::StartsWith(content, magic)) return 0;
  size_t at = magic.size();
  while (content.size() - at >= kHeaderBytes) {
    const absl::string_view rest = content.substr(at);
    const uint32_t length = GetU32(rest);
    if (rest.size() - kHeaderBytes < length) break;
    const absl::string_view message = rest.substr(kHeaderBytes, length);
    storage::Commit commit;
    if (GetU32(rest.substr(4)) != Checksum(message) ||
        !commit.ParseFromArray(message.data(),
                               static_cast<int>(message.size()))) {
      break;
    }
    Add({Generation{commit.generation()},
         std::string(rest.substr(0, kHeaderBytes + length))});
    ++file_records_;
    at += kHeaderBytes + length;
  }
  return at;
}

void CommitLog::Add(Entry entry) {
  bytes_ += entry.bytes.size();
  entries_.push_back(std::move(entry));
  while (entries_.size() > 1 &&
         (entries_.size() > limits_.commits || bytes_ > limits_.bytes)) {
    bytes_ -= entries_.front().bytes.size();
    entries_.pop_front();
  }
}

absl::Status CommitLog::Append(const CommitRecord& record,
                               const Policy& policy) {
  absl::StatusOr<std::string> bytes = Encode(record, policy);
  if (!bytes.ok()) return Named("write", path_, bytes.status());
  Add({record.generation, *std::move(bytes)});
  const bool replace =
      !fd_.ok() || file_records_ >= 2 * limits_.commits ||
      file_bytes_ + entries_.back().bytes.size() > 2 * limits_.bytes;
  const absl::Status written = replace ? ReplaceFile() : AppendToFile();
  // What is in the file now is not known, so the next one is written anew.
  if (!written.ok()) fd_.reset();
  return Named("write", path_, written);
}

absl::Status CommitLog::AppendToFile() {
  const std::string& bytes = entries_.back().bytes;
  NP_RETURN_IF_ERROR(WriteAll(fd_.get(), bytes, path_));
  if (fdatasync(fd_.get()) != 0) return StatusFromErrno(errno, "sync");
  file_bytes_ += bytes.size();
  ++file_records_;
  return absl::OkStatus();
}

absl::Status CommitLog::ReplaceFile() {
  fd_.reset();
  std::string content = Magic();
  for (const Entry& entry : entries_) content += entry.bytes;
  const std::string fresh = absl::StrCat(path_, ".new");
  // Root alone: what a policy says of whom is nobody else's business.
  UniqueFd fd(
      open(fresh.c_str(),
           O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
           S_IRUSR | S_IWUSR));
  if (!fd.ok()) return StatusFromErrno(errno, absl::StrCat("open ", fresh));
  absl::Status status = WriteAll(fd.get(), content, fresh);
  if (status.ok() && fsync(fd.get()) != 0) {
    status = StatusFromErrno(errno, absl::StrCat("sync ", fresh));
  }
  if (status.ok() && rename(fresh.c_str(), path_.c_str()) != 0) {
    status = StatusFromErrno(errno, "rename");
  }
  if (!status.ok()) {
    unlink(fresh.c_str());
    return status;
  }
  const UniqueFd directory(
      open(DirectoryOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok() || fsync(directory.get()) != 0) {
    return StatusFromErrno(errno, "sync directory");
  }
  fd_ = std::move(fd);
  file_bytes_ = content.size();
  file_records_ = entries_.size();
  return absl::OkStatus();
}

std::vector<CommitRecord> CommitLog::Records() const {
  std::vector<CommitRecord> records;
  records.reserve(entries_.size());
  for (const Entry& entry : entries_) records.push_back(RecordOf(entry.bytes));
  return records;
}

absl::StatusOr<Policy> CommitLog::NewestPolicy() const {
  if (entries_.empty()) {
    return absl::NotFoundError("read commit log: it is empty");
  }
  return PolicyOf(entries_.back().bytes);
}

absl::StatusOr<Policy> CommitLog::PolicyAt(Generation generation,
                                           Generation in_force) const {
  // Newest first, as the numbers may have begun anew.
  Generation last = in_force;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    const uint64_t first = ToInt(entry->generation);
    if (ToInt(generation) >= first &&
        ToInt(generation) <= std::max(ToInt(last), first)) {
      return PolicyOf(entry->bytes);
    }
    last = Generation{first == 0 ? 0 : first - 1};
  }
  return absl::NotFoundError(absl::StrCat(
      "read commit log: no generation ", ToInt(generation),
      entries_.empty() ? ""
                       : absl::StrCat("; the oldest is ",
                                      ToInt(entries_.front().generation))));
}

}  // namespace netpolicy
