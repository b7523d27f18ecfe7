// SPDX-License-Identifier: Apache-2.0
//
// Files of packets: pcap (and, to read, pcapng), or text with one packet in
// hexadecimal digits a line.

#ifndef NETPOLICY_CLAT_OFFLINE_PACKET_FILE_H_
#define NETPOLICY_CLAT_OFFLINE_PACKET_FILE_H_

#include <sys/time.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clat/translator_object.h"

namespace netpolicy::clat {

struct PacketFile {
  enum class Format : uint8_t { kHex, kPcap };
  struct Packet {
    std::string bytes;
    timeval time{};  // pcap only
    LinkType link = LinkType::kRawIp;
    uint32_t line = 0;  // of a text, from 1; else the packet's number
  };

  Format format = Format::kHex;
  LinkType link = LinkType::kRawIp;  // of a pcap; of a text's first packet
  std::vector<Packet> packets;
};

// Reads a whole file, or standard input when it is "-". In text, blank lines
// and what follows "#" are left out, blanks between digits are allowed, and a
// packet that does not look like IP but like an Ethernet frame with IP is one.
// Errors: kNotFound, kInvalidArgument (with the line).
absl::StatusOr<PacketFile> ReadPacketFile(const std::string& path);

// The format that a file's name tells: ".pcap", ".hex" or ".txt".
PacketFile::Format FormatOf(const std::string& path,
                            PacketFile::Format otherwise);

// Writes a file, or standard output when it is "-".
class PacketWriter {
 public:
  // `link`: of all packets in a pcap file.
  static absl::StatusOr<PacketWriter> Create(const std::string& path,
                                             PacketFile::Format format,
                                             LinkType link);
  PacketWriter(PacketWriter&&) noexcept;
  PacketWriter& operator=(PacketWriter&&) noexcept;
  ~PacketWriter();

  // What one packet has become: a line each, or one empty line for nothing.
  // Errors: kInvalidArgument when pcap can't hold it beside the others.
  absl::Status Write(const PacketFile::Packet& of,
                     const std::vector<std::string>& packets);

  // Reports what could not be written.
  absl::Status Close();

 private:
  struct State;
  explicit PacketWriter(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace netpolicy::clat

#endif  // NETPOLICY_CLAT_OFFLINE_PACKET_FILE_H_
