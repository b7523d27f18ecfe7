// SPDX-License-Identifier: Apache-2.0
//
// clat_translate: packets of a file through the translator's BPF programs.
//
// Exit codes, as those of the other tools: 0 all packets were run (dropped or
// not), 1 something failed, a file that can't be read among it, 2 wrong usage:
// nothing was tried.

#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clat/offline/packet_file.h"
#include "clat/offline/sandbox.h"
#include "clat/outcome.h"
#include "clat/translator_config.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/base/version.h"

namespace netpolicy::clat {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

constexpr char kDescription[] =
    "Runs the packets of a file through the 464XLAT translator's BPF programs "
    "in a network namespace of its own, and writes what they become. Needs "
    "root.\n"
    "IN and OUT are pcap (Ethernet or raw IP), or text with one packet in hex "
    "digits a line; \"-\" is standard input or output. IN may be pcapng. OUT "
    "is "
    "pcap when its name ends in .pcap, text when it ends in .hex or .txt, else "
    "like IN. In text, what follows \"#\" and empty lines are left out.\n"
    "Each packet that would be sent is written in order: the translated one, "
    "its fragments on a line each, the ICMP error that answers it (going back "
    "the other way, of the version of the packet it is about), or the packet "
    "itself when it is none of ours. A dropped packet is an empty line in text "
    "and nothing in pcap. The reason goes to standard error, one line a "
    "packet: "
    "FILE:LINE: CAUSE: text.\n"
    "Exit codes: 0 all packets were run, 1 something failed, 2 wrong usage.";

struct Arguments {
  std::string prefix;
  std::vector<std::string> local4;
  std::vector<std::string> local6;
  std::vector<std::string> mappings;
  uint32_t mtu4 = 1500;
  uint32_t mtu6 = 1500;
  uint32_t lowest_ipv6_mtu = 1280;
  std::string udp_zero = "compute";
  std::string ttl = "decrement";
  std::string non_global = "drop";
  std::string icmp_source4;
  std::string icmp_source6;
  std::string direction;
  std::string link = "auto";
  std::string in;
  std::string out;
};

void Declare(CLI::App& app, Arguments& arguments) {
  app.add_option("--prefix", arguments.prefix,
                 "NAT64 prefix of 32, 40, 48, 56, 64 or 96 bits")
      ->required();
  app.add_option("--local4", arguments.local4,
                 "our IPv4 address; may be repeated, with --local6")
      ->allow_extra_args(false);
  app.add_option("--local6", arguments.local6,
                 "the IPv6 address that stands for it")
      ->allow_extra_args(false);
  app.add_option("--eam", arguments.mappings,
                 "IPV4PREFIX=IPV6PREFIX: explicit mapping (RFC 7757); may be "
                 "repeated")
      ->allow_extra_args(false);
  app.add_option("--mtu4", arguments.mtu4,
                 "MTU of the next IPv4 hop; 0: unlimited")
      ->capture_default_str();
  app.add_option("--mtu6", arguments.mtu6, "MTU of the next IPv6 hop")
      ->capture_default_str();
  app.add_option("--lowest-ipv6-mtu", arguments.lowest_ipv6_mtu,
                 "longest IPv6 packet made of one that may be fragmented")
      ->capture_default_str();
  app.add_option("--udp-zero", arguments.udp_zero,
                 "UDP over IPv4 without a checksum: compute one, or drop")
      ->check(CLI::IsMember({"compute", "drop"}))
      ->capture_default_str();
  app.add_option("--ttl", arguments.ttl, "TTL and hop limit: decrement or copy")
      ->check(CLI::IsMember({"decrement", "copy"}))
      ->capture_default_str();
  app.add_option("--non-global", arguments.non_global,
                 "addresses that are not global in 64:ff9b::/96: drop, strict "
                 "(documentation networks, too), or translate")
      ->check(CLI::IsMember({"drop", "strict", "translate"}))
      ->capture_default_str();
  app.add_option("--icmp-source4", arguments.icmp_source4,
                 "address, or prefix of addresses, for ICMPv4 errors whose "
                 "sender has none [192.0.0.8]");
  app.add_option("--icmp-source6", arguments.icmp_source6,
                 "address of ICMPv6 errors made here [the one that the packet "
                 "was sent to]");
  app.add_option("--direction", arguments.direction, "4to6 (out) or 6to4 (in)")
      ->required()
      ->check(CLI::IsMember({"4to6", "6to4"}));
  app.add_option("--link", arguments.link,
                 "what packets of a text start with: ethernet, raw (IP), auto")
      ->check(CLI::IsMember({"auto", "ethernet", "raw"}))
      ->capture_default_str();
  app.add_option("IN", arguments.in, "file to read")->required();
  app.add_option("OUT", arguments.out, "file to write")->required();
}

absl::StatusOr<TranslatorConfig> MakeConfig(const Arguments& arguments) {
  NP_ASSIGN_OR_RETURN(Pref64 prefix, Pref64::Parse(arguments.prefix));
  TranslatorConfig config{.prefix = prefix};
  if (arguments.local4.size() != arguments.local6.size()) {
    return absl::InvalidArgumentError(
        "use --local4 and --local6: not the same number of each");
  }
  for (size_t i = 0; i < arguments.local4.size(); ++i) {
    NP_ASSIGN_OR_RETURN(Ipv4Address ip4,
                        Ipv4Address::Parse(arguments.local4[i]));
    NP_ASSIGN_OR_RETURN(Ipv6Address ip6,
                        Ipv6Address::Parse(arguments.local6[i]));
    config.pairs.push_back({ip4, ip6});
  }
  for (const std::string& text : arguments.mappings) {
    const std::vector<std::string> sides = absl::StrSplit(text, '=');
    if (sides.size() != 2) {
      return absl::InvalidArgumentError(absl::StrCat(
          "use --eam ", text, ": not of the form IPV4PREFIX=IPV6PREFIX"));
    }
    NP_ASSIGN_OR_RETURN(Ipv4Prefix ip4, Ipv4Prefix::Parse(sides[0]));
    NP_ASSIGN_OR_RETURN(Ipv6Prefix ip6, Ipv6Prefix::Parse(sides[1]));
    config.mappings.push_back({ip4, ip6});
  }
  config.mtu4 = arguments.mtu4;
  config.mtu6 = arguments.mtu6;
  config.lowest_ipv6_mtu = arguments.lowest_ipv6_mtu;
  if (arguments.udp_zero == "drop") config.udp_zero = ZeroChecksum::kDrop;
  if (arguments.ttl == "copy") config.hop_count = HopCount::kCopy;
  if (arguments.non_global == "strict") {
    config.not_global = NotGlobal::kDropWithDocumentation;
  } else if (arguments.non_global == "translate") {
    config.not_global = NotGlobal::kTranslate;
  }
  if (!arguments.icmp_source4.empty()) {
    NP_ASSIGN_OR_RETURN(config.icmp_source4,
                        Ipv4Prefix::Parse(arguments.icmp_source4));
  }
  if (!arguments.icmp_source6.empty()) {
    NP_ASSIGN_OR_RETURN(Ipv6Address address,
                        Ipv6Address::Parse(arguments.icmp_source6));
    config.icmp_source6 = address;
  }
  config.icmp_per_second = std::nullopt;  // a file has no seconds
  return config;
}

// Where the IP header starts.
size_t HeaderAt(const PacketFile::Packet& packet) {
  return packet.link == LinkType::kEthernet ? 14 : 0;
}

// Whether a packet could be one that this direction translates at all; others
// are not shown to the program, as the kernel would not either.
bool HasVersion(const PacketFile::Packet& packet, int version) {
  const auto byte = [&](size_t at) {
    return at < packet.bytes.size() ? static_cast<uint8_t>(packet.bytes[at])
                                    : 0;
  };
  if (packet.link == LinkType::kEthernet) {
    return (byte(12) << 8 | byte(13)) == (version == 4 ? 0x0800 : 0x86dd);
  }
  return byte(0) >> 4 != (version == 4 ? 6 : 4);
}

absl::Status Translate(const Arguments& arguments,
                       const TranslatorConfig& config) {
  NP_ASSIGN_OR_RETURN(PacketFile file, ReadPacketFile(arguments.in));
  const Direction direction =
      arguments.direction == "4to6" ? Direction::k4to6 : Direction::k6to4;
  const size_t header_length = direction == Direction::k4to6 ? 20 : 40;
  std::array<std::unique_ptr<Sandbox>, 2> sandboxes;
  if (file.format == PacketFile::Format::kHex && arguments.link != "auto") {
    file.link =
        arguments.link == "raw" ? LinkType::kRawIp : LinkType::kEthernet;
    for (PacketFile::Packet& packet : file.packets) packet.link = file.link;
  }
  NP_ASSIGN_OR_RETURN(
      PacketWriter writer,
      PacketWriter::Create(arguments.out, FormatOf(arguments.out, file.format),
                           file.link));
  for (const PacketFile::Packet& packet : file.packets) {
    std::vector<std::string> sent;
    std::string note;
    if (!HasVersion(packet, direction == Direction::k4to6 ? 4 : 6)) {
      sent.push_back(packet.bytes);
      note = "not_ours: of another kind, left alone";
    } else if (packet.bytes.size() < HeaderAt(packet) + header_length) {
      // Nobody can tell whose it is: the stack drops it.
      note = "malformed: shorter than an IP header";
    } else {
      std::unique_ptr<Sandbox>& sandbox =
          sandboxes[static_cast<size_t>(packet.link)];
      if (sandbox == nullptr) {
        NP_ASSIGN_OR_RETURN(sandbox, Sandbox::Create(packet.link));
        NP_RETURN_IF_ERROR(sandbox->Configure(config));
      }
      absl::StatusOr<Sandbox::Result> result =
          sandbox->Run(direction, packet.bytes);
      if (absl::IsInvalidArgument(result.status())) {
        note = absl::StrCat("malformed: ", result.status().message());
      } else {
        NP_RETURN_IF_ERROR(result.status());
        for (Sandbox::Packet& one : result->packets) {
          sent.push_back(std::move(one.bytes));
        }
        if (result->outcome == NP_CLAT_NOT_OURS ||
            result->outcome >= NP_CLAT_FIRST_DROP) {
          note = absl::StrCat(OutcomeName(result->outcome), ": ",
                              OutcomeText(result->outcome));
          if (result->outcome >= NP_CLAT_FIRST_DROP && !sent.empty()) {
            absl::StrAppend(&note, "; answered");
          }
        }
      }
    }
    if (!note.empty()) {
      std::cerr << arguments.in << ":" << packet.line << ": " << note << "\n";
    }
    NP_RETURN_IF_ERROR(writer.Write(packet, sent));
  }
  return writer.Close();
}

}  // namespace

int Main(int argc, char** argv) {
  CLI::App app(kDescription, "clat_translate");
  Arguments arguments;
  Declare(app, arguments);
  app.set_version_flag("--version", absl::StrCat("clat_translate ", kVersion));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  const auto fail = [](const absl::Status& status, int code) {
    std::cerr << "clat_translate: " << status.message() << "\n";
    return code;
  };
  const absl::StatusOr<TranslatorConfig> config = MakeConfig(arguments);
  if (!config.ok()) return fail(config.status(), kUsage);
  const absl::Status possible = Compile(*config, IfIndex{1}, 0).status();
  if (!possible.ok()) return fail(possible, kUsage);
  const absl::Status status = Translate(arguments, *config);
  return status.ok() ? 0 : fail(status, kFailed);
}

}  // namespace netpolicy::clat

int main(int argc, char** argv) { return netpolicy::clat::Main(argc, argv); }
