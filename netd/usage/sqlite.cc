// SPDX-License-Identifier: Apache-2.0

#include "netd/usage/sqlite.h"

#include <fcntl.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy {
namespace {

absl::Status Error(const std::string& path, int code, sqlite3* db) {
  const std::string message =
      absl::StrCat("usage history ", path, ": ",
                   db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db));
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return absl::DataLossError(message);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

void SqliteStatement::Bind(std::initializer_list<int64_t> values) {
  sqlite3_reset(statement_.get());
  int index = 0;
  for (const int64_t value : values) {
    sqlite3_bind_int64(statement_.get(), ++index, value);
  }
}

void SqliteStatement::BindText(int index, absl::string_view text) {
  sqlite3_bind_text(statement_.get(), index, text.data(),
                    static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  absl::Status status = Error(path_, code, sqlite3_db_handle(statement_.get()));
  sqlite3_reset(statement_.get());
  return status;
}

absl::Status SqliteStatement::Run() {
  for (;;) {
    NP_ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) break;
  }
  sqlite3_reset(statement_.get());
  return absl::OkStatus();
}

std::string SqliteStatement::Text(int column) const {
  const unsigned char* const text =
      sqlite3_column_text(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return text == nullptr ? std::string()
                         : std::string(reinterpret_cast<const char*>(text),
                                       static_cast<size_t>(size));
}

absl::StatusOr<SqliteDatabase> SqliteDatabase::Open(const std::string& path) {
  // SQLite gives its journals the mode of the file.
  const UniqueFd fd(
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.ok()) {
    return StatusFromErrno(errno, absl::StrCat("open usage history ", path));
  }
  SqliteDatabase database;
  database.path_ = path;
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.db_.reset(db);
  if (code != SQLITE_OK) return Error(path, code, db);
  sqlite3_busy_timeout(db, 1000);
  return database;
}

absl::Status SqliteDatabase::Execute(const char* sql) {
  const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(path_, code, db_.get());
}

absl::StatusOr<SqliteStatement> SqliteDatabase::Prepare(absl::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(
      db_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  SqliteStatement statement;
  statement.statement_.reset(raw);
  statement.path_ = path_;
  if (code != SQLITE_OK) return Error(path_, code, db_.get());
  return statement;
}

absl::StatusOr<int64_t> SqliteDatabase::Number(absl::string_view sql) {
  NP_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  NP_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

}  // namespace netpolicy
