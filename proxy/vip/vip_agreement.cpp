#include "proxy/vip/vip_agreement.h"

#include <algorithm>
#include <utility>

#include "proxy/vip/vip_holder.h"

namespace pgkeel {
namespace {

constexpr Duration kWriteAgainPause = std::chrono::milliseconds(250);

}  // namespace

VipAgreement::VipAgreement(Coordinator& coordinator, std::string name, Duration lease, VipHolder* holder,
                           std::function<void(const std::string& problem)> on_problem)
    : coordinator_(coordinator),
      name_(std::move(name)),
      lease_(lease),
      holder_(holder),
      on_problem_(std::move(on_problem)) {}

std::string VipAgreement::holder_name() const {
  const SharedRoute* newest = coordinator_.membership().newest_route(kVipRoute);
  return newest == nullptr ? "" : newest->node;
}

void VipAgreement::everybody_is_told() {
  if (!leaving_since_) return;
  everybody_is_told_ = true;
  review();
}

void VipAgreement::review() {
  // What is done here is news to the coordinator and the holder, who call again.
  if (std::exchange(reviewing_, true)) return;
  const Membership& membership = coordinator_.membership();
  const Instant now = Coordinator::now();
  // Before anything is known it stays as it is: a process that this one took over from may have left the address.
  if (membership.state().revision == 0) {
    reviewing_ = false;
    return;
  }
  const auto agreed = membership.state().routes.find(kVipRoute);
  VipSituation situation;
  situation.name = name_;
  situation.leads = membership.leads(now);
  situation.takes_nothing = takes_nothing_;
  situation.newest = membership.newest_route(kVipRoute);
  if (agreed != membership.state().routes.end()) {
    situation.agreed = &agreed->second;
    situation.closed_elsewhere = membership.closed_elsewhere(kVipRoute, agreed->second.serial, now);
  }
  situation.may_hold_until = membership.serve_until(kVipRoute);
  situation.is_held = holder_ != nullptr && holder_->is_held();
  situation.granted_until = granted_until_;
  situation.leaving_since = leaving_since_;
  situation.everybody_is_told = everybody_is_told_;
  situation.now = now;
  VipDecision decision = decide_vip(situation);
  leaving_since_ = decision.leaving_since;
  if (!leaving_since_) everybody_is_told_ = false;
  if (holder_ != nullptr) {
    // A pgkeel that is alone may hold it for ever, but the kernel is told an end that is near.
    const Instant until = std::min(decision.hold_until, now + lease_);
    if (leaving_since_) {
      holder_->leave(decision.leave_by, until);
    } else {
      granted_until_ = until;
      holder_->hold(until);
    }
    situation.is_held = holder_->is_held();
    decision.acknowledge = decide_vip(situation).acknowledge;
  }
  if (decision.acknowledge) coordinator_.route_applied(kVipRoute, *decision.acknowledge);
  const std::uint64_t serial = situation.agreed == nullptr ? 0 : situation.agreed->serial;
  const bool is_told = serial > serial_before_write_;  // what was written; etcd's watch may come behind its answer
  if (decision.write && !writing_ && (is_told || now >= write_again_at_)) {
    serial_before_write_ = serial;
    write(*decision.write);
  }
  reviewing_ = false;
}

void VipAgreement::write(const std::string& node) {
  writing_ = true;
  const SharedRoute route{.serial = 0,
                          .epoch = coordinator_.membership().state().term,
                          .node = node,
                          .mode = RouteMode::kNormal,
                          .reason = node.empty() ? "another pgkeel leads" : "it leads"};
  coordinator_.write_route(kVipRoute, route, [this, alive = std::weak_ptr<bool>(alive_)](const Result<void>& result) {
    if (alive.expired()) return;
    writing_ = false;
    write_again_at_ = Coordinator::now() + kWriteAgainPause;
    if (!result) on_problem_("the holder of the virtual IP is not written yet: " + result.error().message);
  });
}

}  // namespace pgkeel
