#include "proxy/app/agreed_cluster.h"

#include <algorithm>
#include <set>
#include <utility>

#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

constexpr Duration kTellOfWaitingAfter = std::chrono::seconds(5);
constexpr Duration kTellOfWaitingAgain = std::chrono::minutes(1);
constexpr Duration kWriteAgainPause = std::chrono::milliseconds(250);
// One that is alone on the roster may route for ever.
constexpr Duration kTellAtMost = std::chrono::hours(1);

RouteOrder order_of(const SharedRoute& route) {
  return {.epoch = route.epoch, .node = route.node, .reason = route.reason, .mode = route.mode};
}

}  // namespace

AgreedCluster::AgreedCluster(Loop& loop, std::string cluster, Coordination& coordination, Wires wires)
    : loop_(loop),
      cluster_(std::move(cluster)),
      coordination_(coordination),
      wires_(std::move(wires)),
      deadline_(loop, [this] { review(); }) {}

std::uint64_t AgreedCluster::term() const {
  const Membership& membership = coordination_.membership();
  return membership.leads(Coordination::now()) ? membership.state().term : 0;
}

Instant AgreedCluster::may_act_until(const std::string& node) const {
  const Membership& membership = coordination_.membership();
  const Instant leads_until = term() != 0 ? membership.lease_ends() : Instant{};
  const auto newest = route();
  if (!newest || newest->node != node) return leads_until;
  return std::max(leads_until, membership.serve_until(cluster_));
}

const SharedMemory* AgreedCluster::memory() const {
  const auto& memories = coordination_.membership().state().memories;
  const auto found = memories.find(cluster_);
  return found == memories.end() ? nullptr : &found->second;
}

std::optional<RouteOrder> AgreedCluster::route() const {
  const SharedRoute* newest = coordination_.membership().newest_route(cluster_);
  if (newest == nullptr) return std::nullopt;
  return order_of(*newest);
}

bool AgreedCluster::serves() const {
  return may_route_ && order_applied_ && !order_.node.empty();
}

bool AgreedCluster::is_settled() const {
  const SharedRoute* newest = coordination_.membership().newest_route(cluster_);
  return newest != nullptr && may_route_ && order_applied_ && order_serial_ == newest->serial;
}

AgreementStatus AgreedCluster::status() const {
  const Membership& membership = coordination_.membership();
  const AgreedState& state = membership.state();
  const Instant now = Coordination::now();
  AgreementStatus status;
  status.leader = state.leader;
  status.term = state.term;
  status.leads = membership.leads(now);
  status.routes = serves();
  status.may_route_for = std::clamp(membership.serve_until(cluster_) - now, Duration::zero(), kTellAtMost);
  status.lease_for = std::max(membership.lease_ends() - now, Duration::zero());
  if (membership.etcd_heard_at() != Instant{}) status.etcd_heard_ago = now - membership.etcd_heard_at();
  status.etcd_problem = coordination_.problem();
  if (status.etcd_problem.empty() && !status.etcd_heard_ago) status.etcd_problem = "etcd has not answered yet";
  const auto promises = membership.promises(now);
  status.promises_wanted = promises.wanted;
  status.promises_held = promises.held;
  std::set<std::string> names = state.roster.members;
  for (const auto& live : state.members) names.insert(live.first);
  const SharedRoute* newest = membership.newest_route(cluster_);
  for (const auto& name : names) {
    MemberStatus member;
    member.name = name;
    member.is_self = name == coordination_.name();
    member.leads = name == state.leader;
    if (const auto live = state.members.find(name); live != state.members.end()) {
      member.has_lease = true;
      member.address = live->second.address;
      member.version = live->second.version;
      const auto applied = live->second.applied.find(cluster_);
      member.follows_route =
          newest != nullptr && applied != live->second.applied.end() && applied->second >= newest->serial;
    }
    status.members.push_back(std::move(member));
  }
  return status;
}

Instant AgreedCluster::review_write_deadline() {
  const Instant until = coordination_.membership().serve_until(cluster_);
  wires_.set_write_deadline(until);
  return until;
}

void AgreedCluster::review() {
  const Instant now = Coordination::now();
  const Instant until = review_write_deadline();
  follow(now, until);
  carry_out(now);
  if (now < until && until != Instant::max()) deadline_.start_once(until - now);
  wires_.changed();
}

void AgreedCluster::review_soon() {
  if (std::exchange(review_is_due_, true)) return;
  loop_.defer([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    review_is_due_ = false;
    review();
  });
}

// The workers here: the newest route, as long as this pgkeel may route; else nowhere. What they have taken over is
// acknowledged in either case, for an older route is not open here any more.
void AgreedCluster::follow(Instant now, Instant until) {
  const SharedRoute* newest = coordination_.membership().newest_route(cluster_);
  if (newest == nullptr) return;
  RouteOrder wanted = order_of(*newest);
  const bool is_old = orders_ > 0 && wanted.epoch < order_.epoch;  // etcd was put back to an earlier state
  const bool may_route = now < until && !is_old;
  if (std::exchange(may_route_, may_route) && !may_route)
    wires_.tell("this pgkeel has not renewed its lease in time: its clients are ended, and new ones wait");
  if (!may_route) {
    wanted = {.epoch = std::max(wanted.epoch, order_.epoch),
              .node = "",
              .reason = is_old ? "the route that etcd has is older than one that was open here"
                               : "this pgkeel waits for its lease, which it shares with the others through etcd",
              .mode = RouteMode::kNormal};
  }
  if (orders_ > 0 && wanted.same_route(order_) && newest->serial == order_serial_) return;
  ++orders_;
  order_ = wanted;
  order_serial_ = newest->serial;
  order_applied_ = order_drained_ = false;
  const auto alive = std::weak_ptr<bool>(alive_);
  wires_.lead(
      order_,
      [this, alive, number = orders_, serial = order_serial_] {
        if (alive.expired()) return;
        if (number == orders_) order_applied_ = true;
        coordination_.route_applied(cluster_, serial);
        review_soon();
      },
      [this, alive, number = orders_, serial = order_serial_] {
        if (alive.expired() || number != orders_) return;
        order_drained_ = true;
        if (order_.mode == RouteMode::kDraining) coordination_.route_drained(cluster_, serial);
        review_soon();
      });
}

void AgreedCluster::publish(const RouteOrder& order, Done applied, Done drained) {
  ++wishes_;
  wish_ = Wish{order, std::move(applied), std::move(drained)};
  review_soon();
}

// What this leader wants: written, followed by all, and then told.
void AgreedCluster::carry_out(Instant now) {
  if (!wish_ || term() == 0) return;
  const auto& routes = coordination_.membership().state().routes;
  const auto agreed = routes.find(cluster_);
  if (agreed == routes.end() || !order_of(agreed->second).same_route(wish_->order)) return write_wish(now);
  const std::uint64_t serial = agreed->second.serial;
  if (order_serial_ != serial || !order_applied_ || !order_.same_route(wish_->order)) return;
  const bool opens = !wish_->order.node.empty() && wish_->order.mode == RouteMode::kNormal;
  if (!opens && !coordination_.membership().closed_elsewhere(cluster_, serial, now))
    return tell_of_waiting(serial, now);
  waits_since_ = {};
  if (const auto applied = std::exchange(wish_->applied, nullptr)) loop_.defer(applied);
  if (!order_drained_ || wish_->order.mode != RouteMode::kDraining) return;
  if (!coordination_.drained_elsewhere(cluster_, serial)) return;
  if (const auto drained = std::exchange(wish_->drained, nullptr)) loop_.defer(drained);
}

// A member that renews its lease, and does not close, keeps everybody waiting: no route may be opened before.
void AgreedCluster::tell_of_waiting(std::uint64_t serial, Instant now) {
  if (std::exchange(waits_for_serial_, serial) != serial || waits_since_ == Instant{}) waits_since_ = now;
  if (now < waits_since_ + kTellOfWaitingAfter) return;
  waits_since_ = now + kTellOfWaitingAgain - kTellOfWaitingAfter;
  std::string names;
  for (const auto& member : coordination_.membership().maybe_open(cluster_, serial, now))
    names += (names.empty() ? "" : ", ") + member;
  if (!names.empty())
    wires_.tell("no route is opened before " + names + " has closed the one before, or its lease or a promise is over");
}

void AgreedCluster::write_wish(Instant now) {
  if (wish_->writing || wish_->written || now < wish_->write_again_at) return;
  wish_->writing = true;
  const RouteOrder& order = wish_->order;
  coordination_.write_route(cluster_, {0, order.epoch, order.node, order.mode, order.reason},
                            [this, alive = std::weak_ptr<bool>(alive_), number = wishes_](const Result<void>& result) {
                              if (alive.expired() || !wish_ || number != wishes_) return;
                              wish_->writing = false;
                              wish_->written = result.has_value();
                              wish_->unwritten = result ? "" : result.error().message;
                              if (result) return;
                              wish_->write_again_at = Coordination::now() + kWriteAgainPause;
                              wires_.tell("the route is not written yet: " + result.error().message);
                            });
}

}  // namespace pgkeel
