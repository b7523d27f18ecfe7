// SPDX-License-Identifier: Apache-2.0
//
// The translator once more, for tests: plain C++ from the text of the RFCs, one
// whole packet in, whole packets out, every checksum summed up from the start.
// It shares no code with bpf_progs/.
//
//   Reference result = Translate(config, Direction::k4to6, packet);

#ifndef NETPOLICY_CLAT_TESTING_REFERENCE_TRANSLATOR_H_
#define NETPOLICY_CLAT_TESTING_REFERENCE_TRANSLATOR_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "clat/translator_config.h"
#include "clat/translator_object.h"

namespace netpolicy::clat::testing {

struct Reference {
  // IP packets, in order. A packet that is not ours is here unchanged.
  std::vector<std::string> packets;
  // Why there are none, or why the packet is answered; for messages only.
  std::string note;
  // The IPv4 identification of the packets is the translator's choice: the same
  // in all of them, and not 0.
  bool free_identification = false;
};

// `packet` is an IP packet of the version that `direction` starts from.
Reference Translate(const TranslatorConfig& config, Direction direction,
                    absl::string_view packet);

// What is wrong with a packet that claims to be sound: lengths, version, IPv4
// header checksum, and, where the packet is whole, the checksums of TCP, UDP,
// ICMP and ICMPv6. Empty: nothing.
std::string FindFault(absl::string_view packet);

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_REFERENCE_TRANSLATOR_H_
