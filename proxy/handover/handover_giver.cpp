#include "proxy/handover/handover_giver.h"

#include <utility>

#include "proxy/base/log.h"
#include "proxy/handover/takeover.h"
#include "proxy/io/loop.h"

namespace pgkeel {

Result<std::unique_ptr<HandoverGiver>> HandoverGiver::open(Loop& loop, const std::string& state_directory, Owner& owner,
                                                           const HandoverLimits& limits) {
  std::unique_ptr<HandoverGiver> giver(new HandoverGiver(loop, state_directory, owner, limits));
  if (auto listens = giver->listen(); !listens) return listens.error();
  return giver;
}

Result<void> HandoverGiver::listen() {
  auto listener =
      LinkListener::open(loop_, state_directory_, kHandoverSocket, [this](Descriptor link) { greet(std::move(link)); });
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  return {};
}

Result<void> HandoverGiver::start_successor(const std::vector<std::string>& arguments) {
  if (is_under_way()) return Error{"another process is about to take over already"};
  if (const auto why_not = owner_.why_no_handover_soon(); !why_not.empty()) return Error{why_not};
  auto process = start_detached(arguments);
  if (!process) return process.error();
  starting_ = std::make_unique<Starting>();
  starting_->process = std::move(*process);
  starting_->death =
      std::make_unique<FdWatch>(loop_, starting_->process.handle.number(), [this](FdInterest) { start_ended(); });
  starting_->death->set_interest({.readable = true});
  starting_->patience = std::make_unique<Timer>(loop_, [this] { start_took_too_long(); });
  starting_->patience->start_once(limits_.hello);
  return {};
}

void HandoverGiver::start_ended() {
  const auto ended = std::exchange(starting_, nullptr);
  if (stage_ != Stage::kNone) return;
  std::string why = ended->why_ended;
  if (why.empty()) why = why_not_executed(ended->process);
  if (why.empty()) why = "ended before it took over; its messages in the log say why";
  owner_.handover_failed("the new process " + std::to_string(ended->process.pid) + " " + why);
}

// Whatever it is that was started: it does not even say that it is a pgkeel.
void HandoverGiver::start_took_too_long() {
  starting_->why_ended = "said nothing for " + format_duration(limits_.hello) + ", and was ended";
  kill_process(starting_->process.handle);
}

// It may decide by what it was given: then only its death is good enough. Before that, what we started ourselves does
// not stay behind with our listening sockets; who else has connected hears that the link is closed.
void HandoverGiver::took_too_long() {
  if (stage_ == Stage::kGiving) return refuse("this process took too long to let go");
  if (stage_ != Stage::kGiven && stage_ != Stage::kLetGo && !successor_is_ours())
    return lost("it took too long", false);
  kill_process(process_);
  lost("it took too long, and was ended", false);
}

void HandoverGiver::greet(Descriptor link) {
  const auto peer = peer_of_link(link);
  if (!peer || !is_trusted(*peer)) {
    log(LogLevel::kWarning, "handover",
        "somebody who is neither our user nor root wanted to take over: " +
            (peer ? "user number " + std::to_string(peer->user) : peer.error().message));
    return;
  }
  auto process = open_process(peer->process);
  if (!process) return;
  if (stage_ != Stage::kNone) {
    HandoverMessage message;
    message.word = HandoverWord::kRefused;
    message.text = "another process takes over already, or has";
    static_cast<void>(send_and_wait(link, write_handover(std::move(message))));
    return;
  }
  stage_ = Stage::kGreeted;
  successor_ = peer->process;
  if (successor_is_ours()) starting_->patience->stop();
  process_ = std::move(*process);
  death_ = std::make_unique<FdWatch>(loop_, process_.number(), [this](FdInterest) {
    death_->set_interest({});
    lost("it ended", true);
  });
  death_->set_interest({.readable = true});
  link_ = std::make_unique<DescriptorLink>(
      loop_, std::move(link), [this](LinkMessage message) { heard(std::move(message)); }, [this] { link_ended(); });
  patience_.start_once(limits_.start);
}

void HandoverGiver::link_ended() {
  // Only its death proves that it does not decide: it ends by itself, or is ended.
  if (stage_ == Stage::kGiven || stage_ == Stage::kLetGo)
    patience_.start_once(limits_.end);
  else
    lost("it closed the link", false);
}

void HandoverGiver::heard(LinkMessage link_message) {
  auto message = read_handover(std::move(link_message));
  if (!message) return lost(message.error().message, false);
  if (stage_ == Stage::kGreeted && message->word == HandoverWord::kHello) return offer(*message);
  if (stage_ == Stage::kOffered && message->word == HandoverWord::kReady) return get_ready();
  if (stage_ == Stage::kGiven && message->word == HandoverWord::kReceived) {
    patience_.start_once(limits_.serve);
    // It decides once it has this, and it may be dead before it says so.
    stage_ = Stage::kLetGo;
    answer(HandoverWord::kGo, 0);
    owner_.let_go();
    return;
  }
  if (stage_ == Stage::kLetGo && message->word == HandoverWord::kServing) {
    patience_.stop();
    stage_ = Stage::kFormer;
    owner_.successor_serves(successor_);
    answer(HandoverWord::kMain, 0);
    return;
  }
  if (is_former()) return obey(std::move(*message));
  lost("it said what it has no business to", false);
}

void HandoverGiver::obey(HandoverMessage message) {
  switch (message.word) {
    case HandoverWord::kRoute:
      return follow(std::move(message));
    case HandoverWord::kDeadline:
      return owner_.set_write_deadline(message.cluster, Instant{Duration(static_cast<Duration::rep>(message.number))});
    case HandoverWord::kAddressLeaves:
      if (const auto address = parse_ip_address(message.text)) return owner_.end_clients_of(*address);
      break;
    case HandoverWord::kEnd:
      return owner_.end_sessions(message.text, answer_later(HandoverWord::kApplied, message.number));
    default:
      break;
  }
  lost("it said what it has no business to", false);
}

void HandoverGiver::offer(const HandoverMessage& hello) {
  if (hello.number != kHandoverVersion) {
    return refuse("pgkeel " + hello.text + " hands over in another way (version " + std::to_string(hello.number) +
                  " instead of " + std::to_string(kHandoverVersion) + "): stop this one and start that one");
  }
  stage_ = Stage::kOffered;
  for (auto& socket : owner_.listening_sockets()) {
    HandoverMessage message;
    message.word = HandoverWord::kListener;
    message.text = socket.name;
    message.descriptors.emplace_back(socket.socket.release());
    link_->send(write_handover(std::move(message)));
  }
  answer(HandoverWord::kOffered, 0);
}

void HandoverGiver::get_ready() {
  stage_ = Stage::kGettingReady;
  owner_.get_ready([this, alive = std::weak_ptr<bool>(alive_), successor = successor_] {
    if (!alive.expired() && stage_ == Stage::kGettingReady && successor_ == successor) give();
  });
}

void HandoverGiver::give() {
  if (const auto why_not = owner_.why_no_handover(); !why_not.empty()) return refuse(why_not);
  stage_ = Stage::kGiving;
  patience_.start_once(limits_.give);
  const std::weak_ptr<bool> alive = alive_;
  owner_.give_up(successor_, [this, alive](std::vector<LinkMessage> all) {
    if (alive.expired()) return;
    // It may be gone meanwhile; nobody decided so far.
    if (!link_) return go_on(false, why_ended_);
    stage_ = Stage::kGiven;
    for (auto& message : all) link_->send(std::move(message));
    answer(HandoverWord::kGiven, 0);
  });
}

void HandoverGiver::follow(HandoverMessage message) {
  if (!owner_.may_follow(message.cluster, *message.route))
    return lost("it gave an order that cannot be followed", false);
  owner_.publish_route(message.cluster, std::move(*message.route), answer_later(HandoverWord::kApplied, message.number),
                       answer_later(HandoverWord::kDrained, message.number));
}

std::function<void()> HandoverGiver::answer_later(HandoverWord word, std::uint64_t number) {
  return [this, alive = std::weak_ptr<bool>(alive_), word, number] {
    if (!alive.expired()) answer(word, number);
  };
}

void HandoverGiver::refuse(const std::string& why) {
  HandoverMessage message;
  message.word = HandoverWord::kRefused;
  message.text = why;
  link_->send(write_handover(std::move(message)));
  lost("refused: " + why, false);
}

void HandoverGiver::answer(HandoverWord word, std::uint64_t number) {
  HandoverMessage message;
  message.word = word;
  message.number = number;
  send(std::move(message));
}

void HandoverGiver::send(HandoverMessage message) {
  if (link_) link_->send(write_handover(std::move(message)));
}

// The other process is gone, silent, or not what it should be.
void HandoverGiver::lost(const std::string& why, bool is_dead) {
  if (stage_ == Stage::kNone) return;
  patience_.stop();
  if ((stage_ == Stage::kGiven || stage_ == Stage::kLetGo) && !is_dead) {
    if (why_ended_.empty()) why_ended_ = why;
    return kill_process(process_);
  }
  link_.reset();
  switch (stage_) {
    case Stage::kNone:
      return;
    case Stage::kGiving:
      if (why_ended_.empty()) why_ended_ = why;
      return;  // go_on() when we have given up, and can begin anew
    case Stage::kGreeted:
    case Stage::kOffered:
    case Stage::kGettingReady:
      return go_on(false, why);
    case Stage::kGiven:
    case Stage::kLetGo:
      return go_on(stage_ == Stage::kLetGo, why_ended_.empty() ? why : why_ended_);
    case Stage::kFormer:
      return owner_.end("the process that took over, " + std::to_string(successor_) + ", is gone: " + why);
  }
}

void HandoverGiver::go_on(bool released, const std::string& why) {
  const bool gave_up = stage_ == Stage::kGiving || stage_ == Stage::kGiven || stage_ == Stage::kLetGo;
  stage_ = Stage::kNone;
  const std::string text = "process " + std::to_string(successor_) + " did not take over: " + why;
  why_ended_.clear();  // `why` may be this
  death_.reset();
  starting_.reset();
  if (gave_up) owner_.take_back(released);
  if (released) {
    if (const auto listens = listen(); !listens) log(LogLevel::kWarning, "handover", listens.error().message);
  }
  owner_.handover_failed(text);
}

}  // namespace pgkeel
