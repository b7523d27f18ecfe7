// SPDX-License-Identifier: Apache-2.0

#include "clat/offline/packet_file.h"

#include <pcap/pcap.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/kernel/errno_status.h"

namespace netpolicy::clat {
namespace {

struct PcapClose {
  void operator()(pcap_t* pcap) const { pcap_close(pcap); }
};
using Pcap = std::unique_ptr<pcap_t, PcapClose>;

struct FileClose {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, FileClose>;

constexpr absl::string_view kStandardStream = "-";

uint8_t Byte(absl::string_view bytes, size_t at) {
  return at < bytes.size() ? static_cast<uint8_t>(bytes[at]) : 0;
}

// An Ethernet frame with IP of the version that its type says. What could be
// either is IP.
LinkType GuessLink(absl::string_view bytes) {
  const int version = Byte(bytes, 0) >> 4;
  if (version == 4 && (Byte(bytes, 0) & 0xf) >= 5 &&
      static_cast<size_t>(Byte(bytes, 2) << 8 | Byte(bytes, 3)) ==
          bytes.size()) {
    return LinkType::kRawIp;
  }
  if (version == 6 &&
      static_cast<size_t>(Byte(bytes, 4) << 8 | Byte(bytes, 5)) + 40 ==
          bytes.size()) {
    return LinkType::kRawIp;
  }
  const int type = Byte(bytes, 12) << 8 | Byte(bytes, 13);
  const int inside = Byte(bytes, 14) >> 4;
  if ((type == 0x0800 && inside == 4) || (type == 0x86dd && inside == 6)) {
    return LinkType::kEthernet;
  }
  return LinkType::kRawIp;
}

absl::StatusOr<PacketFile> ReadHex(const std::string& path,
                                   const std::string& content) {
  std::istringstream file(content);
  PacketFile result;
  std::string text;
  for (uint32_t line = 1; std::getline(file, text); ++line) {
    std::string digits;
    for (const char c : text) {
      if (c == '#') break;
      if (absl::ascii_isspace(static_cast<unsigned char>(c))) continue;
      if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) {
        return absl::InvalidArgumentError(absl::StrCat(
            "read ", path, ":", line, ": not a hexadecimal digit: \"",
            absl::CEscape(std::string(1, c)), "\""));
      }
      digits.push_back(c);
    }
    if (digits.empty()) continue;
    if (digits.size() % 2 != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "read ", path, ":", line, ": odd number of hexadecimal digits"));
    }
    PacketFile::Packet packet;
    packet.bytes = absl::HexStringToBytes(digits);
    packet.link = GuessLink(packet.bytes);
    packet.line = line;
    if (result.packets.empty()) result.link = packet.link;
    result.packets.push_back(std::move(packet));
  }
  return result;
}

absl::StatusOr<PacketFile> ReadPcap(const std::string& path,
                                    std::string& content) {
  char error[PCAP_ERRBUF_SIZE] = "";
  File file(fmemopen(content.data(), content.size(), "r"));
  if (file == nullptr) {
    return StatusFromErrno(errno, absl::StrCat("read ", path));
  }
  Pcap pcap(pcap_fopen_offline(file.get(), error));
  if (pcap == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("read ", path, ": ", error));
  }
  file.release();  // is closed with it
  PacketFile result;
  result.format = PacketFile::Format::kPcap;
  const int pcap_link = pcap_datalink(pcap.get());
  LinkType link;
  switch (pcap_link) {
    case DLT_EN10MB:
      link = LinkType::kEthernet;
      break;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      link = LinkType::kRawIp;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("read ", path, ": link type ", pcap_link,
                       " is neither Ethernet nor raw IP"));
  }
  result.link = link;
  for (;;) {
    pcap_pkthdr* header;
    const u_char* data;
    const int got = pcap_next_ex(pcap.get(), &header, &data);
    if (got == PCAP_ERROR_BREAK) return result;
    if (got != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("read ", path, ": ", pcap_geterr(pcap.get())));
    }
    PacketFile::Packet packet;
    packet.bytes.assign(reinterpret_cast<const char*>(data), header->caplen);
    packet.time = header->ts;
    packet.link = link;
    packet.line = static_cast<uint32_t>(result.packets.size() + 1);
    result.packets.push_back(std::move(packet));
  }
}

}  // namespace

absl::StatusOr<PacketFile> ReadPacketFile(const std::string& path) {
  // Read once, and not by name, so that pipes do as well.
  std::ostringstream buffer;
  if (path == kStandardStream) {
    buffer << std::cin.rdbuf();
  } else {
    std::ifstream file(path, std::ios::binary);
    if (!file) return StatusFromErrno(errno, absl::StrCat("open ", path));
    buffer << file.rdbuf();
  }
  std::string content = buffer.str();
  const absl::string_view known[] = {
      "\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4",  // microseconds
      "\x4d\x3c\xb2\xa1", "\xa1\xb2\x3c\x4d",  // nanoseconds
      "\x0a\x0d\x0d\x0a"};                     // pcapng
  for (const absl::string_view one : known) {
    if (absl::StartsWith(content, one)) return ReadPcap(path, content);
  }
  return ReadHex(path, content);
}

PacketFile::Format FormatOf(const std::string& path,
                            PacketFile::Format otherwise) {
  if (absl::EndsWithIgnoreCase(path, ".pcap")) return PacketFile::Format::kPcap;
  for (const absl::string_view text : {".hex", ".txt"}) {
    if (absl::EndsWithIgnoreCase(path, text)) return PacketFile::Format::kHex;
  }
  return otherwise;
}

struct PacketWriter::State {
  std::string path;
  PacketFile::Format format = PacketFile::Format::kHex;
  LinkType link = LinkType::kRawIp;
  File text;
  Pcap pcap;
  pcap_dumper_t* dumper = nullptr;

  ~State() {
    if (dumper != nullptr) pcap_dump_close(dumper);
  }
};

PacketWriter::PacketWriter(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
PacketWriter::PacketWriter(PacketWriter&&) noexcept = default;
PacketWriter& PacketWriter::operator=(PacketWriter&&) noexcept = default;
PacketWriter::~PacketWriter() = default;

absl::StatusOr<PacketWriter> PacketWriter::Create(const std::string& path,
                                                  PacketFile::Format format,
                                                  LinkType link) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->format = format;
  state->link = link;
  if (format == PacketFile::Format::kHex) {
    const std::string name = path == kStandardStream ? "/dev/stdout" : path;
    state->text.reset(fopen(name.c_str(), "we"));
    if (state->text == nullptr) {
      return StatusFromErrno(errno, absl::StrCat("create ", path));
    }
    return PacketWriter(std::move(state));
  }
  // Packets change their version: a link type for one of them will not do.
  state->pcap.reset(pcap_open_dead(
      link == LinkType::kEthernet ? DLT_EN10MB : DLT_RAW, 262144));
  // "-" is standard output to it, too.
  state->dumper = pcap_dump_open(state->pcap.get(), path.c_str());
  if (state->dumper == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("create ", path, ": ", pcap_geterr(state->pcap.get())));
  }
  return PacketWriter(std::move(state));
}

absl::Status PacketWriter::Write(const PacketFile::Packet& of,
                                 const std::vector<std::string>& packets) {
  if (state_->format == PacketFile::Format::kPcap) {
    if (of.link != state_->link) {
      return absl::InvalidArgumentError(
          absl::StrCat("write ", state_->path,
                       ": packets with Ethernet headers and without"));
    }
    for (const std::string& packet : packets) {
      pcap_pkthdr header{};
      header.ts = of.time;
      header.caplen = header.len = static_cast<bpf_u_int32>(packet.size());
      pcap_dump(reinterpret_cast<u_char*>(state_->dumper), &header,
                reinterpret_cast<const u_char*>(packet.data()));
    }
    return absl::OkStatus();
  }
  if (packets.empty()) fputc('\n', state_->text.get());
  for (const std::string& packet : packets) {
    fprintf(state_->text.get(), "%s\n", absl::BytesToHexString(packet).c_str());
  }
  return absl::OkStatus();
}

absl::Status PacketWriter::Close() {
  if (state_->format == PacketFile::Format::kPcap) {
    if (pcap_dump_flush(state_->dumper) != 0) {
      return StatusFromErrno(errno, absl::StrCat("write ", state_->path));
    }
    return absl::OkStatus();
  }
  if (fflush(state_->text.get()) != 0 || ferror(state_->text.get())) {
    return StatusFromErrno(errno, absl::StrCat("write ", state_->path));
  }
  return absl::OkStatus();
}

}  // namespace netpolicy::clat
