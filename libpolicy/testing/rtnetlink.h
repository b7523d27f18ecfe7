// SPDX-License-Identifier: Apache-2.0
//
// Just enough rtnetlink to configure test namespaces. For net_namespace.cc;
// a test uses NetNamespace.
//
//   RtnetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
//   request.Header(ifaddrmsg{.ifa_family = AF_INET, ...});
//   request.Put(IFA_LOCAL, address.bytes());
//   NP_RETURN_IF_ERROR(Transact(socket, request, "add address"));

#ifndef NETPOLICY_LIBPOLICY_TESTING_RTNETLINK_H_
#define NETPOLICY_LIBPOLICY_TESTING_RTNETLINK_H_

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/unique_fd.h"

struct nlmsghdr;

namespace netpolicy::testing {

// One request, built front to back: header, then attributes. A value type.
class RtnetlinkRequest {
 public:
  // NLM_F_REQUEST is added to `flags`; NLM_F_ACK by Transact().
  RtnetlinkRequest(uint16_t type, uint16_t flags);

  // Appends the fixed header of the message type (ifinfomsg, ifaddrmsg, ...).
  template <typename T>
  RtnetlinkRequest& Header(const T& header) {
    static_assert(std::is_trivially_copyable_v<T>);
    return Append({reinterpret_cast<const char*>(&header), sizeof(header)});
  }

  // Appends an attribute: bytes as they are, integers in host order, text with
  // its terminating zero.
  RtnetlinkRequest& Put(uint16_t type, absl::string_view bytes);
  RtnetlinkRequest& PutU32(uint16_t type, uint32_t value);
  RtnetlinkRequest& PutText(uint16_t type, const std::string& text);

  // Appends an attribute that contains what `fill` appends.
  RtnetlinkRequest& Nest(uint16_t type, absl::FunctionRef<void()> fill);

  // The whole message with its length set.
  std::string Finish(uint32_t sequence, uint16_t more_flags) const;

 private:
  RtnetlinkRequest& Append(absl::string_view bytes);

  std::string buffer_;
};

// Opens a socket in the network namespace of the calling thread; it stays
// there. Answers are waited for up to 5 s.
absl::StatusOr<UniqueFd> OpenRtnetlink();

// Sends a request and waits for its acknowledgement. Errors carry the kernel's
// errno and its extended message; `what` names operation and object.
absl::Status Transact(int socket, const RtnetlinkRequest& request,
                      absl::string_view what);

// Sends a request and returns its only answer, whole with nlmsghdr.
absl::StatusOr<std::string> Query(int socket, const RtnetlinkRequest& request,
                                  absl::string_view what);

// An attribute of an answer whose fixed header has `header_bytes`; empty when
// it is not there.
absl::string_view FindAttribute(absl::string_view answer, size_t header_bytes,
                                uint16_t type);

}  // namespace netpolicy::testing

#endif  // NETPOLICY_LIBPOLICY_TESTING_RTNETLINK_H_
