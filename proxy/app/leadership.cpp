#include "proxy/app/leadership.h"

#include <algorithm>
#include <utility>

#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr const char* kNotServed = "its configuration has no such cluster, and that of another pgkeel has";
constexpr Duration kHandOverLimit = 10s;  // then it is told that nobody has taken it

bool hears(const PeerNodeView& node) {
  return node.is_primary &&
         (node.liveness == liveness_name(Liveness::kAlive) || node.liveness == liveness_name(Liveness::kLate));
}

const PeerNodeView* node_in(const PeerView& view, const std::string& cluster, const std::string& node) {
  const auto nodes = view.nodes.find(cluster);
  if (nodes == view.nodes.end()) return nullptr;
  const auto found = nodes->second.find(node);
  return found == nodes->second.end() ? nullptr : &found->second;
}

// A server that answers, in whatever role.
bool is_heard(const PeerNodeView* node) {
  return node != nullptr &&
         (node->liveness == liveness_name(Liveness::kAlive) || node->liveness == liveness_name(Liveness::kLate));
}

// What it says that keeps it from deciding; empty: nothing.
std::string says_unable(const std::string& member, const PeerView& view) {
  if (view.obstacles.empty()) return "";
  return "pgkeel " + member + " says that it cannot decide for " + view.obstacles.begin()->first + ": " +
         view.obstacles.begin()->second;
}

std::string is_being_ended(const std::string& member) {
  return "pgkeel " + member + " is being ended";
}

LeadAnswer refusal(std::string reason) {
  LeadAnswer answer;
  answer.reason = std::move(reason);
  return answer;
}

}  // namespace

Leadership::Leadership(Loop& loop, Coordination& coordination, bool moves_address, Wires wires)
    : coordination_(coordination),
      moves_address_(moves_address),
      wires_(std::move(wires)),
      limit_(loop, [this] { review(); }),
      patience_(loop, [this] { review(); }) {}

std::map<std::string, std::string> Leadership::obstacles() const {
  return inability_.told(monotonic_now());
}

std::vector<OtherSight> Leadership::sights_of(const std::string& cluster, const std::string& node) const {
  std::vector<OtherSight> sights;
  for (const auto& [member, seen] : wires_.views()) {
    const PeerNodeView* found = node_in(seen.view, cluster, node);
    if (found != nullptr && hears(*found)) sights.push_back({member, seen.asked_at - found->heard_ago});
  }
  return sights;
}

PrimariesHeard Leadership::heard_here() const {
  PrimariesHeard heard;
  for (const auto& cluster : wires_.clusters()) heard[cluster.name] = cluster.hears_primary;
  return heard;
}

PrimariesHeard Leadership::heard_by(const SeenView& seen) const {
  PrimariesHeard heard;
  for (const auto& cluster : wires_.clusters()) {
    const PeerNodeView* node = node_in(seen.view, cluster.name, cluster.primary);
    heard[cluster.name] = node != nullptr && hears(*node) &&
                          monotonic_now() - (seen.asked_at - node->heard_ago) < cluster.failure_timeout / 2;
  }
  return heard;
}

void Leadership::review() {
  look_at_heir();
  look_at_standing_back();
  const auto clusters = wires_.clusters();
  const SuccessionView view = look_around(clusters);
  look_at_obstacles(view);
  const bool is_heard_elsewhere =
      std::ranges::any_of(clusters, [](const auto& cluster) { return !cluster.heard_by.empty(); });
  look_at_sights(view, is_heard_elsewhere);
}

// How a hand-over goes, to another one or to this one.
void Leadership::look_at_heir() {
  const Membership& membership = coordination_.membership();
  const AgreedState& state = membership.state();
  const bool leads = membership.leads(Coordination::now());
  if (leads && std::exchange(is_heir_, false)) handed_over_at_ = monotonic_now();
  if (state.leader.empty()) is_heir_ = state.heir == coordination_.name();
  if (!leads) told_.clear();
  if (!handing_over_) return;
  const bool is_over = !state.leader.empty() && (state.leader != coordination_.name() || leads);
  const Duration took = monotonic_now() - handing_over_->since;
  if (!is_over && took < kHandOverLimit) return limit_.start_once(kHandOverLimit - took);
  limit_.stop();
  LeadAnswer answer;
  answer.accepted = is_over && state.leader == handing_over_->heir;
  if (is_over) {
    answer.leader = state.leader;
    answer.without_leader = took;
    wires_.tell(LogLevel::kInfo, "pgkeel " + state.leader + " leads; for " + format_duration(took) + " nobody did");
  }
  if (!answer.accepted) {
    answer.reason = is_over
                        ? "pgkeel " + state.leader + " leads now: pgkeel " + handing_over_->heir + " did not take it"
                        : "nobody leads " + format_duration(took) + " after it was given up; see `pgkeel status`";
  }
  const Answered answered = std::move(handing_over_->answered);
  handing_over_.reset();
  if (answered) answered(answer);
}

void Leadership::stand_back(const std::string& why) {
  if (!standing_back_) standing_back_ = StandingBack{why, monotonic_now()};
  coordination_.stand_back();
}

void Leadership::look_at_standing_back() {
  if (!standing_back_ || !coordination_.membership().leads(Coordination::now())) return why_it_still_leads_.clear();
  std::string reason = why_not_now();
  const std::string heir = reason.empty() ? choose(reason) : "";
  why_it_still_leads_ = reason;
  if (!heir.empty())
    hand_over(heir, "this one is being ended (" + standing_back_->why + ")", &HandOverCounts::at_stop, {});
}

SuccessionView Leadership::look_around(const std::vector<LedCluster>& clusters) const {
  SuccessionView view;
  view.handed_over_at = handed_over_at_;
  for (const auto& cluster : clusters) {
    view.own[cluster.name] = cluster.hears_primary;
    if (!cluster.under_way.empty()) view.under_way[cluster.name] = cluster.under_way;
    if (cluster.obstacle) view.obstacles[cluster.name] = *cluster.obstacle;
  }
  const AgreedState& state = coordination_.membership().state();
  for (const auto& [member, seen] : wires_.views()) {
    if (!state.members.contains(member) || !state.roster.members.contains(member)) continue;
    view.others[member] = heard_by(seen);
    for (const auto& [cluster, nodes] : seen.view.nodes) {
      if (!view.own.contains(cluster)) view.obstacles[cluster] = {kNotServed, ""};
    }
    if (const std::string why = says_unable(member, seen.view); !why.empty()) view.unable[member] = why;
    if (seen.view.is_ending) view.unable[member] = is_being_ended(member);
    for (const auto& [cluster, obstacle] : view.obstacles) {
      if (!obstacle.node.empty() && !is_heard(node_in(seen.view, cluster, obstacle.node)))
        view.out_of_reach[member] = "pgkeel " + member + " does not hear from " + obstacle.node + " of " + cluster;
    }
  }
  return view;
}

void Leadership::look_at_obstacles(const SuccessionView& view) {
  const Membership& membership = coordination_.membership();
  const Instant now = monotonic_now();
  inability_.look(membership.leads(Coordination::now()), view.obstacles, now);
  const auto lasts_from = inability_.lasts_from();
  if (!lasts_from) {
    patience_.stop();
    return told_of_unable_.clear();
  }
  if (now < *lasts_from) return patience_.start_once(*lasts_from - now);
  const Succession succession = decide_succession_of_unable(view);
  const std::string what =
      "this one cannot decide for " + succession.cluster + ": " + view.obstacles.at(succession.cluster).why;
  if (!succession.heir.empty()) {
    if (!membership.is_in_touch(Coordination::now())) return;
    inability_.handed_over(now);
    return hand_over(succession.heir, what, &HandOverCounts::unable, {});
  }
  if (std::exchange(told_of_unable_, view.obstacles.begin()->first) == told_of_unable_) return;
  wires_.tell(LogLevel::kError, what + "; the leadership is not handed over: " + succession.why_not);
}

// `is_heard_elsewhere`: a primary that this one does not hear.
void Leadership::look_at_sights(const SuccessionView& view, bool is_heard_elsewhere) {
  if (!coordination_.membership().leads(Coordination::now())) return;
  if (!is_heard_elsewhere) return told_.clear();
  const Succession succession = decide_succession(view, monotonic_now());
  if (!succession.heir.empty() && coordination_.membership().is_in_touch(Coordination::now())) {
    return hand_over(succession.heir,
                     "this one does not hear from the primary of " + succession.cluster + ", and that one does",
                     &HandOverCounts::by_sight, {});
  }
  if (succession.why_not.empty() || std::exchange(told_, succession.why_not) == succession.why_not) return;
  wires_.tell(LogLevel::kWarning, "the leadership is not handed over: " + succession.why_not);
}

void Leadership::hand_over(const std::string& heir, const std::string& why, std::uint64_t HandOverCounts::*reason,
                           Answered answered) {
  ++(hand_overs_.*reason);
  handing_over_ = HandingOver{heir, monotonic_now(), std::move(answered)};
  wires_.tell(LogLevel::kWarning, "the leadership is handed over to pgkeel " + heir + ": " + why);
  coordination_.hand_over(heir);
}

std::string Leadership::why_not_now() const {
  const Membership& membership = coordination_.membership();
  const std::string& leader = membership.state().leader;
  if (!membership.leads(Coordination::now())) {
    if (handing_over_) return "the leadership is being handed over to pgkeel " + handing_over_->heir + " already";
    if (leader.empty() || leader == coordination_.name()) return "no pgkeel leads now; try again";
    return "pgkeel " + leader + " leads: give the order to that one";
  }
  if (!membership.is_in_touch(Coordination::now())) return "etcd does not answer now; try again when it does";
  for (const auto& cluster : wires_.clusters()) {
    if (!cluster.under_way.empty() && !cluster.obstacle) return cluster.under_way;
  }
  return "";
}

std::vector<std::string> Leadership::other_members() const {
  std::vector<std::string> names;
  for (const auto& member : coordination_.membership().state().roster.members) {
    if (member != coordination_.name()) names.push_back(member);
  }
  return names;
}

std::string Leadership::why_not(const std::string& member) const {
  const AgreedState& state = coordination_.membership().state();
  if (member == coordination_.name()) return "pgkeel " + member + " leads already";
  if (!state.roster.members.contains(member)) {
    std::string names;
    for (const auto& other : other_members()) names += (names.empty() ? "" : ", ") + other;
    return "there is no pgkeel " + member + "; " + (names.empty() ? "this one is alone" : "there are: " + names);
  }
  if (!state.members.contains(member))
    return "pgkeel " + member + " has no lease: it does not run, or does not reach etcd";
  const auto views = wires_.views();
  const auto seen = views.find(member);
  if (seen == views.end()) return "pgkeel " + member + " does not answer this one";
  if (seen->second.view.is_ending) return is_being_ended(member);
  if (standing_back_ && seen->second.asked_at < standing_back_->since)
    return "pgkeel " + member + " has not said yet whether it is being ended as well";
  const std::string lost = not_heard_by(heard_here(), heard_by(seen->second));
  if (!lost.empty())
    return "pgkeel " + member + " does not hear from the primary of " + lost + ", which this one hears";
  return "";
}

// The first that can; empty: none, and why.
std::string Leadership::choose(std::string& reason) const {
  for (const auto& member : other_members()) {
    std::string why = why_not(member);
    if (why.empty()) why = says_unable(member, wires_.views().at(member).view);
    if (why.empty()) return member;
    reason += (reason.empty() ? "no other pgkeel can lead: " : "; ") + why;
  }
  if (reason.empty()) reason = "there is no other pgkeel";
  return "";
}

bool Leadership::leads_another() const {
  const Membership& membership = coordination_.membership();
  if (!membership.leads(Coordination::now())) return false;
  const auto views = wires_.views();
  return std::ranges::any_of(other_members(), [&](const std::string& member) {
    const auto seen = views.find(member);
    return membership.state().members.contains(member) && (seen == views.end() || !seen->second.view.is_ending);
  });
}

void Leadership::order(const LeadRequest& request, const std::string& by, Answered answered) {
  std::string reason = why_not_now();
  std::string heir = request.to;
  if (reason.empty()) {
    if (heir.empty())
      heir = choose(reason);
    else
      reason = why_not(heir);
  }
  if (!reason.empty()) {
    if (!request.preview) wires_.tell(LogLevel::kWarning, "lead, from " + by + ": refused: " + reason);
    return answered(refusal(std::move(reason)));
  }
  if (!request.preview)
    return hand_over(heir, "an operator ordered it (" + by + ")", &HandOverCounts::ordered, std::move(answered));
  const std::string unable = says_unable(heir, wires_.views().at(heir).view);
  LeadAnswer answer;
  answer.accepted = true;
  answer.leader = heir;
  answer.consequences = "pgkeel " + heir + " leads instead of " + coordination_.name() +
                        ", and nobody decides for the moment in between. Routes stay as they are, and clients stay "
                        "connected" +
                        (moves_address_ ? ", but for those at the virtual IP, which moves: they connect anew." : ".") +
                        (unable.empty() ? "" : " But " + unable + ".");
  answered(std::move(answer));
}

}  // namespace pgkeel
