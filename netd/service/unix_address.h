// SPDX-License-Identifier: Apache-2.0

#ifndef NETPOLICY_NETD_SERVICE_UNIX_ADDRESS_H_
#define NETPOLICY_NETD_SERVICE_UNIX_ADDRESS_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace netpolicy {

// The address of a unix socket at a path. A value.
class UnixAddress {
 public:
  // Errors: kInvalidArgument for a path that is empty, has a NUL or is longer
  // than 107 bytes.
  static absl::StatusOr<UnixAddress> Of(absl::string_view path) {
    UnixAddress result;
    if (path.empty() || path.size() >= sizeof(result.address_.sun_path) ||
        path.find('\0') != absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("address socket '", path, "': a path has 1 to ",
                       sizeof(result.address_.sun_path) - 1, " bytes"));
    }
    memcpy(result.address_.sun_path, path.data(), path.size());
    return result;
  }

  const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&address_);
  }
  socklen_t size() const { return sizeof(address_); }

 private:
  UnixAddress() { address_.sun_family = AF_UNIX; }

  sockaddr_un address_ = {};
};

}  // namespace netpolicy

#endif  // NETPOLICY_NETD_SERVICE_UNIX_ADDRESS_H_
