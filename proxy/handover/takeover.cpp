#include "proxy/handover/takeover.h"

#include "proxy/base/version.h"
#include "proxy/io/detached_process.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// Longer than the other process waits for us: whoever gives up first is it.
constexpr Duration kLimit = 60s;
constexpr Duration kFormerDeathLimit = 2s;  // from the end of its link, which the kernel closes first

Error unexpected(const HandoverMessage& message) {
  if (message.word == HandoverWord::kRefused) return Error{message.text};
  return Error{"it answers what does not belong here"};
}

}  // namespace

Result<std::optional<Takeover>> Takeover::begin(const std::string& state_directory) {
  auto link = connect_link(state_directory, kHandoverSocket);
  // Nobody is there: the caller finds out by the lock whether that is so.
  if (!link) return std::optional<Takeover>();
  const auto peer = peer_of_link(*link);
  if (!peer) return peer.error();
  if (!is_trusted(*peer)) {
    return Error{"the process behind " + state_directory + "/" + kHandoverSocket + " belongs to user number " +
                 std::to_string(peer->user) + ": nothing is taken from it"};
  }
  auto process = open_process(peer->process);
  if (!process) return process.error();
  std::optional<Takeover> takeover(
      Takeover({.pid = peer->process, .link = std::move(*link), .process = std::move(*process)}));
  const auto offered = takeover->hear_offer();
  if (!offered) {
    return Error{"the running pgkeel (process " + std::to_string(peer->process) +
                 ") does not hand over: " + offered.error().message};
  }
  if (!*offered) return std::optional<Takeover>();
  return takeover;
}

// False: it has died.
Result<bool> Takeover::hear_offer() {
  if (auto said = say(HandoverWord::kHello, kHandoverVersion, std::string(pgkeel_version())); !said)
    return hear_last(said.error());
  while (true) {
    auto message = next(kLimit);
    if (!message) return hear_last(message.error());
    if (message->word == HandoverWord::kOffered) return true;
    if (message->word != HandoverWord::kListener) return unexpected(*message);
    sockets_.push_back({message->text, Socket::take(message->descriptors.front().release())});
  }
}

// A refusal may have come before the link was closed, and what broke it is told first. False: it has died.
Result<bool> Takeover::hear_last(const Error& broken) {
  if (const auto last = next(Duration::zero()); last && last->word == HandoverWord::kRefused) return unexpected(*last);
  if (has_died()) return false;
  return broken;
}

// It may have gone on before it died, where it had not given all: whatever came until then is dropped.
Result<std::optional<Inheritance>> Takeover::receive() {
  if (auto said = say(HandoverWord::kReady, 0, ""); !said) {
    if (has_died()) return std::optional<Inheritance>();
    return said.error();
  }
  Inheritance inheritance;
  while (true) {
    auto message = next(kLimit);
    if (!message) {
      if (has_died()) return std::optional<Inheritance>();
      return message.error();
    }
    switch (message->word) {
      case HandoverWord::kControl:
        inheritance.lock = std::move(message->descriptors.front());
        break;
      case HandoverWord::kOpenRoute:
        inheritance.routes[message->cluster] = std::move(*message->route);
        break;
      case HandoverWord::kSession:
        inheritance.sessions.emplace_back(message->cluster, std::move(*message->session));
        break;
      case HandoverWord::kMembership:
        inheritance.membership = std::move(message->membership);
        break;
      case HandoverWord::kFormer:
        inheritance.formers.push_back({.pid = static_cast<pid_t>(message->number),
                                       .link = std::move(message->descriptors[0]),
                                       .process = std::move(message->descriptors[1]),
                                       .draining = std::move(message->draining)});
        break;
      case HandoverWord::kGiven:
        if (!inheritance.lock.is_open()) return Error{"it gave everything but the lock of the state directory"};
        return std::optional(std::move(inheritance));
      default:
        return unexpected(*message);
    }
  }
}

// Whoever has given all goes on only when we are dead. So if it is, it has decided nothing, and read from no session.
Result<std::optional<FormerHandle>> Takeover::confirm() {
  if (auto said = say(HandoverWord::kReceived, 0, ""); !said) {
    if (has_died()) return std::optional<FormerHandle>();
    return said.error();
  }
  const auto message = next(kLimit);
  if (!message) {
    if (has_died()) return std::optional<FormerHandle>();
    return message.error();
  }
  if (message->word != HandoverWord::kGo) return unexpected(*message);
  return std::optional(std::move(handle_));
}

bool Takeover::has_died() const {
  return process_ends_within(handle_.process, kFormerDeathLimit);
}

Result<HandoverMessage> Takeover::next(Duration limit) {
  auto message = receive_and_wait(handle_.link, limit);
  if (!message) return message.error();
  return read_handover(std::move(*message));
}

Result<void> Takeover::say(HandoverWord word, std::uint64_t number, std::string text) {
  HandoverMessage message;
  message.word = word;
  message.number = number;
  message.text = std::move(text);
  return send_and_wait(handle_.link, write_handover(std::move(message)));
}

}  // namespace pgkeel
