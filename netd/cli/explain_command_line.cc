// SPDX-License-Identifier: Apache-2.0

// explain.

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "libpolicy/model/ip_prefix.h"
#include "libpolicy/model/network_rule.h"

#include "netd/cli/command_groups.h"

namespace netpolicy::cli {
namespace {

struct ExplainArguments {
  std::string uid;
  std::string interface;
  std::string direction;
  std::string remote;
  absl::optional<uint16_t> remote_port;
  std::string local;
  absl::optional<uint16_t> local_port;
  std::string protocol;
  std::string metered;
  std::string kind;
  uint32_t tag = 0;
};

constexpr char kNoOwnerWord[] = "no-owner";

PacketKind KindOf(const std::string& name) {
  if (name == "tcp-reset") return PacketKind::kTcpReset;
  if (name == "tcp-fin") return PacketKind::kTcpFin;
  if (name == "icmp6-control") return PacketKind::kIcmp6Control;
  return PacketKind::kOrdinary;
}

// What is said of the packet.
void SetPacket(const ExplainArguments& arguments, ExplainQuery& query,
               CommandBuilder& builder) {
  for (const auto& [text, address] :
       {std::pair(&arguments.remote, &query.remote),
        {&arguments.local, &query.local}}) {
    if (text->empty()) continue;
    const absl::StatusOr<AddressBytes> parsed = ParseAddress(*text);
    builder.Fault(parsed.status());
    if (parsed.ok()) *address = *parsed;
  }
  query.remote_port = arguments.remote_port;
  query.local_port = arguments.local_port;
  if (!arguments.protocol.empty()) {
    const absl::StatusOr<uint8_t> protocol = ParseProtocol(arguments.protocol);
    builder.Fault(protocol.status());
    if (protocol.ok()) query.protocol = *protocol;
  }
  if (!arguments.metered.empty()) {
    query.metered = arguments.metered == "on" ? Switch::kOn : Switch::kOff;
  }
  query.kind = KindOf(arguments.kind);
  query.tag = arguments.tag;
  if ((query.direction == Direction::kConnect && arguments.remote.empty()) ||
      (query.direction == Direction::kBind &&
       !arguments.local_port.has_value())) {
    builder.Fault(("explain: connect needs --remote, bind needs --local-port"));
  }
}

}  // namespace

void DefineExplain(CLI::App& app, CommandBuilder& builder) {
  const auto arguments = std::make_shared<ExplainArguments>();
  CLI::App* explain = CommandBuilder::Add(
      app, "explain", "Say whether a UID would get through, and why not",
      "Look");
  explain
      ->add_option("--uid", arguments->uid,
                   "Who; no-owner: a packet that no application owns")
      ->required()
      ->option_text("UID");
  explain
      ->add_option("--iface", arguments->interface,
                   "Through this interface (default: any but loopback)")
      ->option_text("NAME");
  explain
      ->add_option("--dir", arguments->direction,
                   "in, out (packets), or a call: socket, connect (with "
                   "--remote) or bind (with --local-port) (default: all)")
      ->option_text("DIR")
      ->check(CLI::IsMember({"in", "out", "socket", "connect", "bind"}));
  explain
      ->add_option("--remote", arguments->remote,
                   "The other end's address (default: not asked about)")
      ->option_text("ADDR");
  explain
      ->add_option("--remote-port", arguments->remote_port,
                   "The other end's port")
      ->option_text("PORT");
  explain
      ->add_option("--local", arguments->local,
                   "The machine's own address (default: not asked about)")
      ->option_text("ADDR");
  explain->add_option("--local-port", arguments->local_port, "The own port")
      ->option_text("PORT");
  explain
      ->add_option("--protocol", arguments->protocol,
                   "tcp, udp, icmp, ... or a number (default: one that no rule "
                   "names)")
      ->option_text("NAME");
  explain
      ->add_option("--metered", arguments->metered,
                   "on or off, whatever the policy says of the interface")
      ->option_text("ON|OFF")
      ->check(CLI::IsMember({"on", "off"}));
  explain
      ->add_option("--kind", arguments->kind,
                   "A packet that some rules let pass: tcp-reset, tcp-fin "
                   "(received), icmp6-control (Packet Too Big, neighbour "
                   "discovery); ESP is --protocol esp (default: none of these)")
      ->option_text("KIND")
      ->check(CLI::IsMember({"tcp-reset", "tcp-fin", "icmp6-control"}));
  explain
      ->add_option("--tag", arguments->tag,
                   "The socket's tag, for what the resolver's sockets may "
                   "(default: 0)")
      ->option_text("N");
  explain->callback([&builder, arguments] {
    ExplainCommand command;
    command.query.uid = kNoOwner;
    if (arguments->uid != kNoOwnerWord) {
      command.query.uid =
          builder.Take(ParseUid(arguments->uid, builder.names()))
              .value_or(Uid{});
    }
    command.query.interface = arguments->interface;
    if (arguments->direction == "in")
      command.query.direction = Direction::kIngress;
    if (arguments->direction == "out")
      command.query.direction = Direction::kEgress;
    if (arguments->direction == "socket") {
      command.query.direction = Direction::kSocketCreate;
    }
    if (arguments->direction == "connect")
      command.query.direction = Direction::kConnect;
    if (arguments->direction == "bind")
      command.query.direction = Direction::kBind;
    SetPacket(*arguments, command.query, builder);
    builder.Ask(std::move(command));
  });
}

}  // namespace netpolicy::cli
