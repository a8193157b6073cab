// A client that sees each message of the protocol as it arrives. It logs in where the server trusts it, in protocol
// 3.0. Blocks; what does not come in half a minute is an exception. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/peer.h"
#include "tests/support/wire_messages.h"

namespace pgkeel::test {

class RawClient {
 public:
  using Heard = wire_test::Heard;
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  // `parameters` of the startup packet; user and database are postgres unless they are among them.
  static std::string startup_packet(const Parameters& parameters = {}) {
    std::string body = wire_test::int16_bytes(3) + wire_test::int16_bytes(0);
    Parameters all = {{"user", "postgres"}, {"database", "postgres"}};
    for (const auto& [name, value] : parameters) {
      std::erase_if(all, [&](const auto& known) { return known.first == name; });
      all.emplace_back(name, value);
    }
    for (const auto& [name, value] : all) body += wire_test::zero_terminated(name) + wire_test::zero_terminated(value);
    return wire_test::untyped(body + '\0');
  }

  // Sends the startup packet, and waits for nothing.
  explicit RawClient(std::uint16_t port, const Parameters& parameters = {}) : peer_(Peer::connect_to(port)) {
    peer_.send(startup_packet(parameters));
  }

  // Up to the first ReadyForQuery; what came before the end where the login failed.
  std::vector<Heard> log_in() { return next_until('Z'); }

  void send(std::string_view bytes) { peer_.send(bytes); }
  void send_query(std::string_view sql) { peer_.send(wire_test::query(sql)); }
  std::vector<Heard> query(std::string_view sql) {
    send_query(sql);
    return next_until('Z');
  }

  // The next message; type '\0' at the end of the connection, '?' where that comes inside the message.
  Heard next() {
    const std::string bytes = peer_.receive_message();
    return bytes.empty() ? Heard{} : wire_test::split_messages(bytes).front();
  }
  std::vector<Heard> next_until(char type) {
    std::vector<Heard> messages;
    for (Heard heard = next(); heard.type != '\0'; heard = next()) {
      messages.push_back(heard);
      if (heard.type == type) break;
    }
    return messages;
  }
  // All to the end of the connection; a last one of type '?' where that comes inside a message.
  std::vector<Heard> rest() { return wire_test::split_messages(peer_.receive_to_end()); }

  Peer& peer() { return peer_; }

 private:
  Peer peer_;
};

}  // namespace pgkeel::test
