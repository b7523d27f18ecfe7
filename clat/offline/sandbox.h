// SPDX-License-Identifier: Apache-2.0
//
// Packets through the real translator without a network.
//
//   NP_ASSIGN_OR_RETURN(auto sandbox, Sandbox::Create(LinkType::kRawIp));
//   NP_RETURN_IF_ERROR(sandbox->Configure(config));
//   NP_ASSIGN_OR_RETURN(auto result, sandbox->Run(Direction::k4to6, packet));
//   for (const std::string& sent : result.packets) ...
//
// The programs are attached to a tun or tap device in a network namespace of
// its own, which holds nothing else and goes when the sandbox does, or the
// process. What leaves the device is read from its descriptor; what comes in
// through it is read, behind the program, by a packet socket. Unlike
// BPF_PROG_TEST_RUN this shows fragments and ICMP errors that the translator
// sends itself, does raw IP links and packets of any length, and shows what
// offloads make of checksums and super-packets.

#ifndef NETPOLICY_CLAT_OFFLINE_SANDBOX_H_
#define NETPOLICY_CLAT_OFFLINE_SANDBOX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clat/translator_config.h"
#include "clat/translator_object.h"

namespace netpolicy::clat {

// Whether the device completes checksums and cuts super-packets up itself: then
// they are seen as the translator leaves them.
enum class Offload : uint8_t { kOff, kOn };

// What is left to do to a packet: struct virtio_net_hdr (whose header is not
// C++), in host order. All zero: nothing.
struct OffloadHeader {
  static constexpr uint8_t kNeedsChecksum = 1;  // flags
  static constexpr uint8_t kDataValid = 2;
  static constexpr uint8_t kTcp4 = 1;  // gso_type
  static constexpr uint8_t kTcp6 = 4;
  static constexpr uint8_t kUdp = 5;

  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0;
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;

  bool operator==(const OffloadHeader&) const = default;
};
static_assert(sizeof(OffloadHeader) == 1 + 1 + 4 * 2);

class Sandbox {
 public:
  struct Packet {
    std::string bytes;  // with the link's header
    OffloadHeader offload;
  };
  struct Result {
    // In the order in which they were sent. One that is not ours, unchanged.
    std::vector<Packet> packets;
    uint32_t outcome = 0;  // NP_CLAT_*
  };

  // Needs CAP_NET_ADMIN, CAP_SYS_ADMIN (for the namespace), CAP_NET_RAW,
  // CAP_BPF and CAP_PERFMON; the calling thread is back in its own namespace
  // afterwards. Errors: kPermissionDenied, kFailedPrecondition when there is no
  // tun.
  static absl::StatusOr<std::unique_ptr<Sandbox>> Create(
      LinkType link, Offload offload = Offload::kOff);

  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  ~Sandbox();

  absl::Status Configure(const TranslatorConfig& config);

  // Errors: kInvalidArgument when the device can't carry such a packet (longer
  // than 65535 bytes, or shorter than an Ethernet header).
  absl::StatusOr<Result> Run(Direction direction, absl::string_view packet);
  absl::StatusOr<Result> Run(Direction direction, const Packet& packet);

  TranslatorObject& object();

 private:
  struct State;
  explicit Sandbox(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_OFFLINE_SANDBOX_H_
