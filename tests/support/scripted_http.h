// An HTTP server whose answers a test gives one by one, on the thread of the loop that its client runs on. Each request
// comes on a connection of its own.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "tests/support/peer.h"
#include "tests/unit/io/loop_runner.h"

namespace pgkeel::test {

class ScriptedHttp {
 public:
  explicit ScriptedHttp(Loop& loop) : loop_(loop) {}

  struct Request {
    Peer client;
    std::string text;  // all of it

    [[nodiscard]] bool is_for(std::string_view path) const { return text.find(" " + std::string(path) + " ") < 16; }
    [[nodiscard]] bool has(std::string_view part) const { return text.find(part) != std::string::npos; }
    void answer(const std::string& status, std::string_view body) {
      begin_answer(status, body);
      client.close();
    }
    // It goes on until the connection is closed.
    void begin_answer(const std::string& status, std::string_view body) {
      client.send("HTTP/1.1 " + status + "\r\nConnection: close\r\n\r\n" + std::string(body));
    }
  };

  // The next one, whole.
  Request next() {
    REQUIRE(run_until(loop_, [&] { return listener_.somebody_waits(); }));
    Request request{listener_.accept(), ""};
    while (!is_whole(request.text)) {
      REQUIRE(run_until(loop_, [&] { return request.client.has_something_to_read(); }));
      const std::string more = request.client.receive_some();
      REQUIRE_FALSE(more.empty());
      request.text += more;
    }
    return request;
  }

  [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const {
    return "http://" + host + ":" + std::to_string(listener_.port());
  }
  PeerListener& listener() { return listener_; }

 private:
  static bool is_whole(const std::string& text) {
    const auto end_of_head = text.find("\r\n\r\n");
    if (end_of_head == std::string::npos) return false;
    const std::string name = "Content-Length: ";
    const auto length = text.find(name);
    const std::size_t body = length < end_of_head ? std::stoul(text.substr(length + name.size())) : 0;
    return text.size() >= end_of_head + 4 + body;
  }

  Loop& loop_;
  PeerListener listener_;
};

}  // namespace pgkeel::test
