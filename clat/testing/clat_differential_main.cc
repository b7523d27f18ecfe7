// SPDX-License-Identifier: Apache-2.0
//
// clat_differential: the BPF translator against the reference translator for as
// long as you like. Needs root. Exit codes: 0 no difference, 1 differences or
// failure, 2 wrong usage.

#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "clat/outcome.h"
#include "clat/testing/differential.h"

int main(int argc, char** argv) {
  using netpolicy::clat::LinkType;
  CLI::App app("Compares the translator with its reference", argv[0]);
  uint64_t seed = 1;
  uint64_t packets = 1000000;
  std::string link = "raw";
  app.add_option("--seed", seed, "of the random packets")
      ->capture_default_str();
  app.add_option("--packets", packets, "how many")->capture_default_str();
  app.add_option("--link", link)
      ->check(CLI::IsMember({"raw", "ethernet"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto result = netpolicy::clat::testing::RunDifferential(
      link == "raw" ? LinkType::kRawIp : LinkType::kEthernet, seed, packets);
  if (!result.ok()) {
    std::cerr << result.status().message() << "\n";
    return 1;
  }
  for (const auto& [outcome, count] : result->outcomes) {
    std::cout << netpolicy::clat::OutcomeName(outcome) << " " << count << "\n";
  }
  for (const std::string& difference : result->differences) {
    std::cout << difference << "\n";
  }
  std::cout << result->packets << " packets, " << result->differences.size()
            << " differences\n";
  return result->differences.empty() ? 0 : 1;
}
