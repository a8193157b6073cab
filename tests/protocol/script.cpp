#include "tests/protocol/script.h"

#include <string>

#include <doctest/doctest.h>

namespace pgkeel::test {

void Script::say(Peer& speaker, std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t piece = bytes.size();
    if (cut_ == kEverywhere)
      piece = 1;
    else if (cut_ > said_ && cut_ - said_ < bytes.size())
      piece = cut_ - said_;
    const std::uint64_t read_before = proxy_.bytes_read();
    speaker.send(bytes.substr(0, piece));
    said_ += piece;
    bytes.remove_prefix(piece);
    if (bytes.empty()) return;
    // Spinning: a pause per byte would make minutes of it.
    const Instant deadline = monotonic_now() + std::chrono::seconds(30);
    while (proxy_.bytes_read() < read_before + piece) {
      REQUIRE(monotonic_now() < deadline);
      std::this_thread::yield();
    }
  }
}

void Script::client_hears(std::string_view bytes) {
  const std::string heard = client_.receive(bytes.size());
  REQUIRE(heard == bytes);
}

void Script::server_hears(std::string_view bytes) {
  const std::string heard = server_.receive(bytes.size());
  REQUIRE(heard == bytes);
}

void Script::client_hears_the_end() {
  REQUIRE(client_.receive_to_end().empty());
  CHECK_FALSE(client_.ended_by_reset());
}

void Script::server_hears_the_end() {
  REQUIRE(server_.receive_to_end().empty());
  CHECK_FALSE(server_.ended_by_reset());
}

void play_with_every_cut(const std::function<void(Script&)>& exchange) {
  ProxyUnderTest proxy;
  proxy.route_to_a(1);
  const auto play = [&](std::size_t cut) {
    CAPTURE(cut);
    Script script(proxy, cut);
    exchange(script);
    return script.said();
  };
  const std::size_t bytes = play(Script::kNowhere);
  for (std::size_t cut = 1; cut < bytes; ++cut) play(cut);
  play(Script::kEverywhere);
}

}  // namespace pgkeel::test
