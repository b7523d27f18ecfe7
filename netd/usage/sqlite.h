// SPDX-License-Identifier: Apache-2.0
//
// The little of SQLite that the usage store needs, with its errors as statuses.

#ifndef NETPOLICY_NETD_USAGE_SQLITE_H_
#define NETPOLICY_NETD_USAGE_SQLITE_H_

#include <sqlite3.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace netpolicy {

// A prepared statement. Move only; must not outlive its database.
class SqliteStatement {
 public:
  SqliteStatement() = default;

  // Begins anew with these values for ?1, ?2, ...
  void Bind(std::initializer_list<int64_t> values);
  // Text for ?N, copied.
  void BindText(int index, absl::string_view text);

  // True: a row is there to be read. False: done.
  absl::StatusOr<bool> Step();
  // Steps to the end.
  absl::Status Run();

  int64_t Int(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
  }
  std::string Text(int column) const;

 private:
  friend class SqliteDatabase;
  struct Free {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  std::unique_ptr<sqlite3_stmt, Free> statement_;
  std::string path_;
};

// One connection. Not thread-safe.
//
// Errors, as "usage history PATH: cause": kDataLoss when the file is damaged or
// is no database; kResourceExhausted when the disk is full; kUnavailable when
// somebody else has it locked or the disk fails; else kInternal.
class SqliteDatabase {
 public:
  // Makes the file, with mode 0600, unless it is there.
  static absl::StatusOr<SqliteDatabase> Open(const std::string& path);

  absl::Status Execute(const char* sql);
  absl::StatusOr<SqliteStatement> Prepare(absl::string_view sql);
  // The first column of the first row, 0 when there is no row.
  absl::StatusOr<int64_t> Number(absl::string_view sql);

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
  std::string path_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_USAGE_SQLITE_H_
