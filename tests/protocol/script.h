// A scripted exchange between a client and a server through the proxy, whose bytes can be cut anywhere: before the
// bytes behind a cut are sent, the proxy has read those in front of it.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "tests/protocol/proxy_under_test.h"

namespace pgkeel::test {

class Script {
 public:
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  static constexpr std::size_t kEverywhere = static_cast<std::size_t>(-2);

  // `cut` counts the bytes that both sides send.
  Script(ProxyUnderTest& proxy, std::size_t cut) : proxy_(proxy), cut_(cut) {}

  void client_connects() { client_ = proxy_.connect(); }
  void server_accepts() { server_ = proxy_.a.accept(); }
  void client_says(std::string_view bytes) { say(client_, bytes); }
  void server_says(std::string_view bytes) { say(server_, bytes); }
  void client_hears(std::string_view bytes);
  void server_hears(std::string_view bytes);
  void client_hears_the_end();
  void server_hears_the_end();

  Peer& client() { return client_; }
  Peer& server() { return server_; }
  [[nodiscard]] std::size_t said() const { return said_; }

 private:
  void say(Peer& speaker, std::string_view bytes);

  ProxyUnderTest& proxy_;
  std::size_t cut_;
  std::size_t said_ = 0;
  Peer client_;
  Peer server_;
};

// Plays the exchange uncut, cut once at every byte, and cut at all bytes.
void play_with_every_cut(const std::function<void(Script&)>& exchange);

}  // namespace pgkeel::test
