// The application of a HandoverGiver, as a test wants it, and a process that talks to the giver. Thread of the loop
// only.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/handover/handover_giver.h"
#include "proxy/handover/handover_message.h"
#include "proxy/handover/takeover.h"
#include "proxy/io/loop.h"
#include "tests/unit/io/loop_runner.h"

namespace pgkeel::test {

struct ScriptedOwner : HandoverGiver::Owner {
  explicit ScriptedOwner(Loop& its_loop) : loop(its_loop) {}

  std::string why_no_handover() const override { return why_not; }
  std::string why_no_handover_soon() const override { return why_not_soon; }
  std::vector<NamedSocket> listening_sockets() const override { return {}; }
  void get_ready(std::function<void()> ready) override {
    if (holds_ready)
      held_ready.push_back(std::move(ready));
    else
      loop.defer(std::move(ready));
  }
  void give_up(pid_t, std::function<void(std::vector<LinkMessage>)> given) override {
    has_given_up = true;
    if (holds_given)
      held_given = std::move(given);
    else
      loop.defer([given = std::move(given)] { given({}); });
  }
  void take_back(bool released) override { taken_back = released; }
  void let_go() override { has_let_go = true; }
  void successor_serves(pid_t) override { is_served = true; }
  void publish_route(const std::string&, Route, std::function<void()>, std::function<void()>) override {}
  void set_write_deadline(const std::string&, Instant) override {}
  void end_clients_of(const IpAddress& address) override { left = format_ip_address(address); }
  void end_sessions(const std::string&, std::function<void()> ended_there) override {
    sessions_ended = std::move(ended_there);
  }
  bool may_follow(const std::string&, const Route&) const override { return true; }
  void end(const std::string& why) override { ended = why; }
  void handover_failed(const std::string& why) override { failure = why; }

  Loop& loop;
  std::string why_not;
  std::string why_not_soon;
  bool holds_ready = false;
  std::vector<std::function<void()>> held_ready;  // to be called
  bool has_given_up = false;
  bool holds_given = false;
  std::function<void(std::vector<LinkMessage>)> held_given;  // to be called
  std::optional<bool> taken_back;                            // whether it had let go
  bool has_let_go = false;
  bool is_served = false;
  std::string left;                      // the address
  std::function<void()> sessions_ended;  // to be called
  std::string ended;
  std::string failure;
};

// What the other process does, until it pauses or ends itself.
using OtherProcess = std::function<void(const Descriptor& link)>;

// It is not this giver that started it.
inline pid_t start_other(const std::string& folder, const OtherProcess& what) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child > 0) return child;
  const auto link = connect_link(folder, kHandoverSocket);
  if (!link) ::_exit(1);
  what(*link);
  while (true) ::pause();
}

inline void say(const Descriptor& link, HandoverWord word, std::uint64_t number = 0, std::string text = {}) {
  HandoverMessage message;
  message.word = word;
  message.text = std::move(text);
  message.number = number;
  static_cast<void>(send_and_wait(link, write_handover(std::move(message))));
}

// Its text.
inline std::string hear(const Descriptor& link, HandoverWord word) {
  while (true) {
    auto received = receive_and_wait(link, std::chrono::seconds(30));
    if (!received) ::_exit(1);
    const auto message = read_handover(std::move(*received));
    if (message && message->word == word) return message->text;
  }
}

inline void come_to_ready(const Descriptor& link) {
  say(link, HandoverWord::kHello, kHandoverVersion);
  hear(link, HandoverWord::kOffered);
  say(link, HandoverWord::kReady);
}

// Its exit status, by itself; nothing: a signal ended it, or it had to be waited for too long and is killed.
inline std::optional<int> exit_status_of(Loop& loop, pid_t child) {
  int status = 0;
  const bool ended = run_until(loop, [&] { return ::waitpid(child, &status, WNOHANG) == child; });
  if (!ended) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  return ended && WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
}

}  // namespace pgkeel::test
