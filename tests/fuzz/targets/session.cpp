// A whole session without TLS: a client and a server that say what the input has them say, a route that changes, and
// either of them that goes away. What the client hears are whole messages; the session's own last error stands between
// two of them; and when both are gone nothing is left of it.
#include <string>
#include <string_view>

#include "proxy/wire/frame.h"
#include "tests/fuzz/targets/access_point_harness.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;
using pgkeel::fuzz::require;
using pgkeel::test::Peer;

namespace {

constexpr int kStepsMax = 100;
constexpr std::string_view kHint = "Connect again to the same address";  // of the session's own last error

class Play {
 public:
  explicit Play(const fuzz::AccessPointHarness::Options& options) : harness_(options), client_(harness_.connect()) {
    harness_.lead_to_server();
  }

  void take_step(fuzz::Input& input) {
    switch (input.byte() % 16) {
      case 0:
        fuzz::say(client_, input.text());
        break;
      case 1:
        client_message(input, input.short_text());
        break;
      case 2:
        client_message(input, long_body(input));
        break;
      case 3:
        fuzz::say(client_, startup_message(input.byte() % 3, input.short_text()));
        break;
      case 4:
        server_is_honest_ = false;
        fuzz::say(server_, input.text());
        break;
      case 5:
        server_message(input, input.short_text());
        break;
      case 6:
        server_message(input, long_body(input));
        break;
      case 7:
        fuzz::say(server_, login_answer(1, "abcd", input.byte() % 4 == 0 ? "on" : "off"));
        break;
      case 8:
        harness_.lead_to_server();
        break;
      case 9:
        harness_.lead_nowhere();
        break;
      case 10:
        harness_.drain();
        break;
      case 11:
        listens_ = !listens_;  // the client does not read for a while
        break;
      case 12:
        if (client_.is_open()) client_.finish_sending();
        break;
      case 13:
        server_.close();
        break;
      case 14:
        play_other(input);
        break;
      default:
        client_.close();
        break;
    }
    turn();
  }

  void end() {
    listens_ = true;
    for (std::size_t before = heard_.size() + 1; before != heard_.size();) {
      before = heard_.size();
      turn();
    }
    check_heard();
    client_.close();
    turn();
    server_.close();
    turn();
    // Who has said more than it was asked for waits for a server although it is gone, up to hold_timeout.
    harness_.access_point().shut_down("the test ends");
    turn();
    require(harness_.access_point().empty(), "a session is left whose client is gone");
    require(harness_.access_point().counters().held.value() == 0, "a client is held that is gone");
    require(harness_.access_point().counters().established.value() == 0, "a session counts that is gone");
  }

 private:
  void client_message(fuzz::Input& input, const std::string_view body) {
    fuzz::say(client_, message(static_cast<char>(input.byte()), body));
  }
  void server_message(fuzz::Input& input, const std::string_view body) {
    const std::string text = message(static_cast<char>(input.byte()), body);
    if (!server_.is_open()) return;
    if (text.find(kHint) != std::string::npos) server_is_honest_ = false;  // it speaks like pgkeel
    // Half a message is no honest word.
    try {
      if (server_.send_what_fits(text) < text.size()) server_is_honest_ = false;
    } catch (const std::system_error&) {
      server_.close();
    }
  }
  static std::string long_body(fuzz::Input& input) { return std::string(input.number(), 'x'); }

  // Another client comes, says something, and goes: a cancel request, or a login that nobody answers.
  void play_other(fuzz::Input& input) {
    Peer other = harness_.connect();
    const std::uint8_t kind = input.byte();
    fuzz::say(other, kind % 2 == 0 ? cancel_request(1, "abcd") : std::string(input.short_text()));
    harness_.turn();
    fuzz::take_all(other);
  }

  void turn() {
    harness_.turn();
    while (auto fresh = harness_.accept()) server_ = std::move(*fresh);
    fuzz::take_all(server_);
    if (listens_) heard_ += fuzz::take_all(client_);
  }

  // Where the server said nothing but whole messages.
  void check_heard() const {
    if (!server_is_honest_) return;
    BoundaryTracker walk(MessageSender::kServer);
    bool after_fatal = false;
    std::string heard = heard_.substr(refused_encryptions());
    const auto advance = walk.advance(std::as_writable_bytes(std::span(heard)), [&](char type, auto text) {
      require(!after_fatal, "a message behind the last one");
      after_fatal = type == 'E' && as_text(text).find(kHint) != std::string_view::npos;
      return true;
    });
    require(!advance.violation, "what was heard is not made of messages");
  }
  // An 'N' may be the answer to an SSLRequest or a GSSENCRequest; a notice is longer.
  [[nodiscard]] std::size_t refused_encryptions() const {
    std::size_t count = 0;
    while (count < heard_.size() && heard_[count] == 'N' && !(heard_.size() >= count + 5 && heard_[count + 1] == '\0'))
      ++count;
    return count;
  }

  fuzz::AccessPointHarness harness_;
  Peer client_;
  Peer server_;
  std::string heard_;
  bool listens_ = true;
  bool server_is_honest_ = true;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t settings = input.byte();
  Play play(
      {.keeps_commit_waits = (settings & 1U) != 0, .hold_timeout = std::chrono::hours((settings & 2U) != 0 ? 0 : 24)});
  for (int steps = 0; steps < kStepsMax && !input.empty(); ++steps) play.take_step(input);
  play.end();
  return 0;
}
