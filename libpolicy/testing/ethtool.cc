// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/testing/ethtool.h"

#include <cerrno>
#include <cstring>
#include <vector>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"

namespace netpolicy::testing {
namespace {

// Performs a command on `data`, which begins with its number. The result is the
// kernel's, which may be positive.
absl::StatusOr<int> Perform(int socket, const std::string& link, void* data) {
  uint32_t command;
  memcpy(&command, data, sizeof(command));
  const std::string what =
      absl::StrCat("ethtool command ", command, " on link ", link);
  ifreq request = {};
  if (link.empty() || link.size() >= IFNAMSIZ) return ErrnoStatus(EINVAL, what);
  memcpy(request.ifr_name, link.data(), link.size());
  request.ifr_data = static_cast<char*>(data);
  const int result = ioctl(socket, SIOCETHTOOL, &request);
  if (result < 0) return ErrnoStatus(errno, what);
  return result;
}

// A command whose struct ends with an array: words of 32 bits are enough to
// hold it, and right for its alignment.
using Words = std::vector<uint32_t>;

// How many features the kernel knows.
absl::StatusOr<uint32_t> CountFeatures(int socket, const std::string& link) {
  // struct ethtool_sset_info: cmd, reserved, 64-bit mask, then the count.
  alignas(8)
      uint32_t info[5] = {ETHTOOL_GSSET_INFO, 0, 1u << ETH_SS_FEATURES, 0, 0};
  static_assert(offsetof(ethtool_sset_info, data) == 4 * sizeof(uint32_t));
  NP_RETURN_IF_ERROR(Perform(socket, link, info).status());
  return info[4];
}

// The number of a feature.
absl::StatusOr<uint32_t> FindFeature(int socket, const std::string& link,
                                     const std::string& feature,
                                     uint32_t count) {
  constexpr size_t kHeader = offsetof(ethtool_gstrings, data);
  Words words((kHeader + size_t{count} * ETH_GSTRING_LEN) / sizeof(uint32_t) +
              1);
  words[0] = ETHTOOL_GSTRINGS;
  words[1] = ETH_SS_FEATURES;
  words[2] = count;
  NP_RETURN_IF_ERROR(Perform(socket, link, words.data()).status());
  const char* names = reinterpret_cast<const char*>(words.data()) + kHeader;
  for (uint32_t i = 0; i < count; ++i) {
    const char* name = names + size_t{i} * ETH_GSTRING_LEN;
    if (absl::string_view(name, strnlen(name, ETH_GSTRING_LEN)) == feature)
      return i;
  }
  return absl::NotFoundError(
      absl::StrCat("find feature ", feature, ": the kernel has none such"));
}

}  // namespace

absl::StatusOr<uint32_t> EthtoolValue(int socket, const std::string& link,
                                      uint32_t command, uint32_t value) {
  ethtool_value data = {.cmd = command, .data = value};
  NP_RETURN_IF_ERROR(Perform(socket, link, &data).status());
  return data.data;
}

absl::Status SetEthtoolFeature(int socket, const std::string& link,
                               const std::string& feature, bool on) {
  NP_ASSIGN_OR_RETURN(const uint32_t count, CountFeatures(socket, link));
  NP_ASSIGN_OR_RETURN(const uint32_t number,
                      FindFeature(socket, link, feature, count));
  const uint32_t blocks = (count + 31) / 32;
  const uint32_t bit = 1u << (number % 32);

  // struct ethtool_sfeatures: cmd, size, then {valid, requested} for each
  // block.
  Words set(2 + 2 * size_t{blocks});
  set[0] = ETHTOOL_SFEATURES;
  set[1] = blocks;
  set[2 + 2 * (number / 32)] = bit;
  set[2 + 2 * (number / 32) + 1] = on ? bit : 0;
  NP_RETURN_IF_ERROR(Perform(socket, link, set.data()).status());

  // struct ethtool_gfeatures: cmd, size, then {available, requested, active,
  // never_changed} for each block.
  Words get(2 + 4 * size_t{blocks});
  get[0] = ETHTOOL_GFEATURES;
  get[1] = blocks;
  NP_RETURN_IF_ERROR(Perform(socket, link, get.data()).status());
  const bool active = (get[2 + 4 * (number / 32) + 2] & bit) != 0;
  if (active == on) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("set feature ", feature, " of link ", link, ": stays ",
                   active ? "on" : "off"));
}

}  // namespace netpolicy::testing
