// SPDX-License-Identifier: Apache-2.0
//
// Packets that a translator may meet, from ordinary to absurd, for comparing
// two translators.

#ifndef NETPOLICY_CLAT_TESTING_RANDOM_PACKET_H_
#define NETPOLICY_CLAT_TESTING_RANDOM_PACKET_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "clat/translator_config.h"
#include "clat/translator_object.h"

namespace netpolicy::clat::testing {

// The same seed gives the same packets everywhere.
class RandomPackets {
 public:
  RandomPackets(uint64_t seed, const TranslatorConfig& config);

  // An IP packet of the version that `direction` starts from.
  std::string Next(Direction direction);

 private:
  uint32_t Below(uint32_t limit);
  bool Chance(uint32_t percent) { return Below(100) < percent; }
  template <typename T>
  const T& OneOf(const std::vector<T>& from) {
    return from[Below(static_cast<uint32_t>(from.size()))];
  }
  std::string Bytes(size_t count);
  size_t PayloadLength();

  std::string Own4();
  std::string Other4();
  std::string Own6();
  std::string Other6();

  std::string Ip4(const std::string& src, const std::string& dst, int depth);
  std::string Ip6(const std::string& src, const std::string& dst, int depth);
  std::string Options();
  std::string Transport(uint32_t protocol, const std::string& src,
                        const std::string& dst, int depth);
  std::string Icmp4(int depth);
  std::string Icmp6(const std::string& src, const std::string& dst, int depth);
  void Extend(std::string& icmp, size_t attribute_at, size_t unit);

  std::mt19937_64 random_;
  const TranslatorConfig& config_;
};

}  // namespace netpolicy::clat::testing

#endif  // NETPOLICY_CLAT_TESTING_RANDOM_PACKET_H_
