#include "proxy/session/relay_buffer.h"

#include <string>

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("bytes wait in order, and the partial message behind them stays when they are sent") {
  RelayBuffer buffer;
  buffer.add_waiting(as_bytes("abc"));
  buffer.add_waiting(as_bytes("def"));
  buffer.add_partial(as_bytes("Q!"));
  CHECK(as_text(buffer.waiting()) == "abcdef");
  buffer.sent(4);
  CHECK(as_text(buffer.waiting()) == "ef");
  buffer.sent(2);
  CHECK(buffer.waiting_bytes() == 0);
  CHECK(as_text(buffer.partial()) == "Q!");
}

TEST_CASE("a partial message is dropped alone") {
  RelayBuffer buffer;
  buffer.add_waiting(as_bytes("abc"));
  buffer.add_partial(as_bytes("Q!"));
  buffer.drop_partial();
  buffer.add_waiting(as_bytes("E"));
  CHECK(as_text(buffer.waiting()) == "abcE");
  CHECK(buffer.partial_bytes() == 0);
}

TEST_CASE("an empty buffer holds no memory for what went through it") {
  const std::string big(8192, 'x');
  RelayBuffer buffer;
  buffer.add_partial(as_bytes(big));
  buffer.drop_partial();
  CHECK(buffer.held_bytes() <= 256);
  buffer.add_waiting(as_bytes(big));
  buffer.sent(big.size() - 1);
  CHECK(buffer.held_bytes() >= big.size());
  buffer.sent(1);
  CHECK(buffer.held_bytes() <= 256);
  buffer.add_waiting(as_bytes(big));
  buffer.clear();
  CHECK(buffer.held_bytes() <= 256);
}

TEST_CASE("an empty buffer stays empty") {
  RelayBuffer buffer;
  buffer.drop_partial();
  buffer.clear();
  CHECK(buffer.waiting_bytes() == 0);
  CHECK(buffer.partial_bytes() == 0);
}
