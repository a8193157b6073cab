// The part of Application that ends it.
#include <algorithm>
#include <csignal>
#include <utility>

#include "proxy/app/application.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kDrainLook = 20ms;
constexpr Duration kHandingOverLook = 10ms;
// More than another one takes to lead and to have the virtual IP: some transactions of an etcd that may be slow.
constexpr Duration kHandingOverTakes = 3s;
// How long those may take that are logging in: the sessions of others need not wait for a login that hangs.
constexpr Duration kLoginsTake = 1s;
// Who connects meanwhile waits for the next process. With kStopLimit it is well below the TimeoutStopSec= of our unit.
constexpr Duration kStopDrainMax = 10s;

}  // namespace

// Whoever asks twice, or at a terminal, does not want to wait. Nor does who holds the virtual IP still: nobody is
// served at that address until another one has it.
void Application::stop_by_signal(int number) {
  const std::string signal = number == SIGTERM ? "SIGTERM" : "SIGINT";
  const bool is_given_up = giver_ && (giver_->is_former() || giver_->is_under_way());
  if (is_ending() || is_given_up) return begin_stop(signal);
  const auto stop = [this, signal, number] {
    if (stopping_) return;
    const bool waits = number == SIGTERM && !(vip_ && vip_->is_held()) && stop_drain() > Duration::zero();
    if (!waits) return begin_stop(signal);
    begin_stop_drain(signal);
  };
  if (!leadership_) return stop();
  hand_over_before_stop(signal, stop);
}

// Another one leads, and has the virtual IP, before anything is let go of here: so nobody is without either for longer
// than it takes to say so. Who cannot lead yet, or what is under way, is given a moment; then they do without.
void Application::hand_over_before_stop(const std::string& why, std::function<void()> then) {
  if (!leadership_->leads_another()) return then();
  enum class Heir { kNone, kAwaited, kLeads };
  const auto heir = std::make_shared<Heir>(Heir::kNone);
  const auto why_not = std::make_shared<std::string>("nobody has taken it yet");
  service_manager_.tell("STOPPING=1\nSTATUS=handing over to another pgkeel");
  hands_over_for_stop_ = true;
  stop_step_ =
      std::make_unique<Timer>(loop_, [this, why, heir, why_not, limit = loop_.now() + kHandingOverTakes, then] {
        if (*heir == Heir::kNone && leadership_->leads_another()) {
          *heir = Heir::kAwaited;
          leadership_->give_up("this one is being ended (" + why + ")", [heir, why_not](const LeadAnswer& answer) {
            if (!answer.accepted) *why_not = answer.reason;
            *heir = answer.accepted ? Heir::kLeads : Heir::kNone;
          });
        }
        const bool may_lead_soon = *heir == Heir::kAwaited || (*heir == Heir::kNone && leadership_->leads_another());
        const bool vip_is_here = *heir == Heir::kLeads && vip_ && (vip_->is_held() || vip_->keeps_callers());
        if ((may_lead_soon || vip_is_here) && loop_.now() < limit) return;
        stop_step_->stop();
        if (may_lead_soon)
          record(LogLevel::kWarning, "coordination",
                 "the leadership is not handed over before this pgkeel ends: " + *why_not);
        loop_.defer(then);
      });
  stop_step_->start_repeating(kHandingOverLook);
}

Duration Application::stop_drain() const {
  return std::min(config_.proxy.restart_drain, kStopDrainMax);
}

// Everything else goes on meanwhile: a primary that fails now is failed over.
void Application::begin_stop_drain(const std::string& why) {
  const Duration limit = stop_drain();
  log(LogLevel::kInfo, "pgkeel",
      why + ": each client ends with 57P01 as soon as it has no transaction open, in " + format_duration(limit) +
          " at the latest, then this process");
  service_manager_.tell("STOPPING=1\nSTATUS=open transactions may finish, for " + format_duration(limit));
  workers_->close_doors(service_manager_.is_there() ? AtTheDoor::kWaits : AtTheDoor::kRefused);
  workers_->end_behind_transactions("pgkeel is shutting down");
  drain_for_stop_ = std::make_unique<Timer>(loop_, [this, began = loop_.now(), limit] {
    const Duration waited = loop_.now() - began;
    const bool logins_are_over = workers_->logins_under_way() == 0 || waited >= kLoginsTake;
    const bool all_have_ended = logins_are_over && workers_->established_sessions() == 0;
    if (!all_have_ended && waited < limit) return;
    drain_for_stop_->stop();
    begin_stop(all_have_ended ? "no session is left" : "the time for open transactions is over");
  });
  drain_for_stop_->start_repeating(kDrainLook);
}

void Application::begin_stop(const std::string& why) {
  if (std::exchange(stopping_, true)) return;
  if (drain_for_stop_) drain_for_stop_->stop();
  if (stop_step_) stop_step_->stop();
  log(LogLevel::kInfo, "pgkeel", why + ": ending every client with 57P01, then this process");
  const bool is_former = giver_ && giver_->is_former();
  const bool next_one_listens = service_manager_.is_there() || is_former;
  if (!is_former) service_manager_.tell("STOPPING=1");
  if (coordinator_) return stop_among_others(next_one_listens);
  workers_->stop(
      kStopLimit, [this] { loop_.stop(); }, next_one_listens);
}

}  // namespace pgkeel
