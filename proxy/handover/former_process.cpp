#include "proxy/handover/former_process.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/base/log.h"
#include "proxy/io/detached_process.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

// How long it may take to close sessions, or to end once its link has. Clients of a failed primary wait meanwhile.
constexpr Duration kPatience = std::chrono::seconds(2);

}  // namespace

FormerProcess::FormerProcess(Loop& loop, FormerHandle handle, Callbacks callbacks)
    : loop_(loop),
      pid_(handle.pid),
      process_(std::move(handle.process)),
      callbacks_(std::move(callbacks)),
      draining_(std::move(handle.draining)),
      link_(
          loop, std::move(handle.link), [this](LinkMessage message) { heard(std::move(message)); },
          [this] { patience_.start_once(kPatience); }),
      death_(loop, process_.number(), [this](FdInterest) { ended(); }),
      patience_(loop, [this] { end_it("it did not answer within " + format_duration(kPatience)); }) {
  death_.set_interest({.readable = true});
}

void FormerProcess::say_serving() {
  HandoverMessage message;
  message.word = HandoverWord::kServing;
  link_.send(write_handover(std::move(message)));
}

void FormerProcess::publish_route(const std::string& cluster, Route route, std::function<void()> applied,
                                  std::function<void()> drained) {
  HandoverMessage message;
  message.word = HandoverWord::kRoute;
  message.cluster = cluster;
  // Only a route that drains is answered twice, and no older one any more.
  const bool drains = route.mode == RouteMode::kDraining;
  for (auto& [number, older] : orders_) {
    if (older.endpoint == cluster) older.drained = nullptr;
  }
  std::erase_if(orders_, [](const auto& each) { return !each.second.applied && !each.second.drained; });
  message.route = std::move(route);
  give(std::move(message), {std::move(applied), drains ? std::move(drained) : nullptr, cluster});
}

void FormerProcess::end_sessions(const std::string& why, std::function<void()> ended) {
  HandoverMessage message;
  message.word = HandoverWord::kEnd;
  message.text = why;
  give(std::move(message), {std::move(ended), nullptr, ""});
}

void FormerProcess::give(HandoverMessage message, Order order) {
  if (has_ended_) {  // and nobody has destroyed us yet
    loop_.defer(std::move(order.applied));
    if (order.drained) loop_.defer(std::move(order.drained));
    return;
  }
  message.number = ++orders_given_;
  orders_[message.number] = std::move(order);
  link_.send(write_handover(std::move(message)));
  if (!patience_.active()) patience_.start_once(kPatience);
}

void FormerProcess::end_clients_of(const IpAddress& address) {
  HandoverMessage message;
  message.word = HandoverWord::kAddressLeaves;
  message.text = format_ip_address(address);
  link_.send(write_handover(std::move(message)));
}

void FormerProcess::set_write_deadline(const std::string& cluster, Instant until) {
  const auto told = deadlines_.find(cluster);
  if (told != deadlines_.end() && told->second == until) return;
  deadlines_[cluster] = until;
  HandoverMessage message;
  message.word = HandoverWord::kDeadline;
  message.cluster = cluster;
  message.number = static_cast<std::uint64_t>(std::max<Duration::rep>(until.time_since_epoch().count(), 0));
  link_.send(write_handover(std::move(message)));
}

LinkMessage FormerProcess::introduction() const {
  HandoverMessage message;
  message.word = HandoverWord::kFormer;
  message.number = static_cast<std::uint64_t>(pid_);
  message.draining = draining_;
  LinkMessage introduced = write_handover(std::move(message));
  introduced.borrowed = {link_.socket().number(), process_.number()};
  return introduced;
}

void FormerProcess::heard(LinkMessage link_message) {
  auto message = read_handover(std::move(link_message));
  if (!message) return end_it(message.error().message);
  switch (message->word) {
    case HandoverWord::kSession:
      callbacks_.session(message->cluster, std::move(*message->session));
      return;
    case HandoverWord::kStays:
      callbacks_.stays(message->cluster, message->stays->first, message->stays->second);
      return;
    case HandoverWord::kMain:
      callbacks_.is_main();
      return;
    case HandoverWord::kDraining:
      draining_ = std::move(message->draining);
      return;
    case HandoverWord::kApplied:
    case HandoverWord::kDrained:
      answered(*message);
      return;
    default:
      end_it("it said what it has no business to");
  }
}

void FormerProcess::answered(const HandoverMessage& message) {
  const auto order = orders_.find(message.number);
  if (order == orders_.end()) return;
  if (message.word == HandoverWord::kApplied) {
    const bool none_waits = std::ranges::none_of(
        orders_, [&](const auto& each) { return each.first != message.number && each.second.applied; });
    if (none_waits) patience_.stop();
    auto applied = std::exchange(order->second.applied, nullptr);
    if (!order->second.drained) orders_.erase(order);
    if (applied) applied();
    return;
  }
  const auto drained = std::exchange(order->second.drained, nullptr);
  if (!order->second.applied) orders_.erase(order);
  if (drained) drained();
}

void FormerProcess::end_it(std::string reason) {
  if (reason_.empty()) reason_ = std::move(reason);
  log(LogLevel::kWarning, "handover", "the former process " + std::to_string(pid_) + " is ended: " + reason_);
  kill_process(process_);
}

void FormerProcess::ended() {
  has_ended_ = true;
  death_.set_interest({});
  patience_.stop();
  link_.stop_reading();
  for (auto& [number, order] : std::exchange(orders_, {})) {
    if (order.applied) order.applied();
    if (order.drained) order.drained();
  }
  const auto gone = callbacks_.gone;
  gone(reason_);
}

}  // namespace pgkeel
