// The part of Application that ends it.
#include <algorithm>
#include <csignal>
#include <utility>

#include "proxy/app/application.h"
#include "proxy/session/newcomers.h"
#include "proxy/vip/vip_decision.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kDrainLook = 20ms;
constexpr Duration kHandingOverLook = 10ms;
// More than another one takes to lead and to have the virtual IP: some transactions of an etcd that may be slow, and
// the farewell of the address.
constexpr Duration kHandingOverTakes = 4s;
static_assert(kHandingOverTakes > 2 * kVipFarewell);
// Who connects meanwhile waits for the next process. With kStopLimit it is well below the TimeoutStopSec= of our unit.
constexpr Duration kStopDrainMax = 10s;

}  // namespace

// A leader among several hands over first, whatever the signal. Then whoever is at a terminal does not want to wait,
// nor does who holds the virtual IP still: nobody is served at that address until another one has it. Nor whoever asks
// twice.
void Application::stop_by_signal(int number) {
  const std::string signal = number == SIGTERM ? "SIGTERM" : "SIGINT";
  const bool is_given_up = giver_ && (giver_->is_former() || giver_->is_under_way());
  const bool is_asked_twice = is_ending();
  if (leadership_) {
    leadership_->stand_back(signal);
    peers_->look_closely(true);  // who else is ending
  }
  if (is_asked_twice || is_given_up) return begin_stop(signal);
  hand_over_before_stop([this, signal, number] {
    if (stopping_) return;
    const bool waits = number == SIGTERM && !(vip_ && vip_->is_held()) && stop_drain() > Duration::zero();
    if (!waits) return begin_stop(signal);
    begin_stop_drain(signal);
  });
}

// Another one leads, and has the virtual IP, before anything is let go of here: so nobody is without either for longer
// than it takes to say so. Who cannot lead yet, or what is under way, is given a moment; then they do without.
void Application::hand_over_before_stop(std::function<void()> then) {
  if (!leadership_ || !(leadership_->leads_another() || leadership_->is_handing_over())) return then();
  service_manager_.tell("STOPPING=1\nSTATUS=handing over to another pgkeel");
  record(LogLevel::kInfo, "coordination",
         "this one is being ended: another pgkeel is to lead first, for which it waits at most " +
             format_duration(kHandingOverTakes));
  hands_over_for_stop_ = true;
  stop_step_ = std::make_unique<Timer>(loop_, [this, limit = loop_.now() + kHandingOverTakes, then] {
    leadership_->review();
    const std::string& leader = coordinator_->membership().state().leader;
    const bool another_leads = !leader.empty() && leader != coordinator_->name();
    const bool one_may_lead_soon = leadership_->is_handing_over() || leadership_->leads_another();
    const bool vip_is_here = another_leads && vip_ && (vip_->is_held() || vip_->keeps_callers());
    if ((one_may_lead_soon || vip_is_here) && loop_.now() < limit) return;
    stop_step_->stop();
    if (!another_leads)
      record(LogLevel::kWarning, "coordination",
             "this one is ended without another pgkeel that leads: " + why_nobody_leads());
    loop_.defer(then);
  });
  stop_step_->start_repeating(kHandingOverLook);
}

std::string Application::why_nobody_leads() const {
  if (leadership_->is_handing_over()) return "the one to which it was handed over has not taken it yet";
  const std::string& why = leadership_->why_it_still_leads();
  return why.empty() ? "nobody has taken it" : why;
}

bool Application::somebody_logs_in(Instant waited_since) const {
  const bool silent_ones_count = loop_.now() < waited_since + Newcomers::kPatience;
  // Looked at first: one that comes meanwhile must not hide another.
  const std::uint64_t silent = silent_ones_count ? 0 : workers_->silent_clients();
  return workers_->logins_under_way() > silent;
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
    const bool logins_are_over = !somebody_logs_in(began) || waited >= kLoginsTake;
    const bool all_have_ended = logins_are_over && workers_->established_sessions() == 0;
    if (!all_have_ended && waited < limit) return;
    drain_for_stop_->stop();
    // It may have come to lead meanwhile, where nobody else did.
    const std::string over = all_have_ended ? "no session is left" : "the time for open transactions is over";
    hand_over_before_stop([this, over] { begin_stop(over); });
  });
  drain_for_stop_->start_repeating(kDrainLook);
}

void Application::begin_stop(const std::string& why) {
  if (std::exchange(stopping_, true)) return;
  if (drain_for_stop_) drain_for_stop_->stop();
  if (stop_step_) stop_step_->stop();
  log(LogLevel::kInfo, "pgkeel", why + ": ending every client with 57P01, then this process");
  if (leadership_) leadership_->stand_back(why);
  const bool is_former = giver_ && giver_->is_former();
  const bool next_one_listens = service_manager_.is_there() || is_former;
  if (!is_former) service_manager_.tell("STOPPING=1");
  if (coordinator_) return stop_among_others(next_one_listens);
  workers_->stop(
      kStopLimit, [this] { loop_.stop(); }, next_one_listens);
}

}  // namespace pgkeel
