// The part of Application that makes this pgkeel one of several.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "config/shared_settings.h"
#include "proxy/app/application.h"
#include "proxy/base/version.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/random_id.h"
#include "proxy/vip/vip_tenure.h"
#include "replication/coordination/own_settings.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLoginsLook = 5ms;
// When the virtual IP leaves, the time of those who are logging in is over so long before it goes: the others are to be
// told.
constexpr Duration kTellingNeeds = 100ms;
static_assert(kTellingNeeds < VipTenure::kFarewellTakes);
// How long what was told to clients takes to leave this host, with other work in between; at the end, nobody waits.
constexpr Duration kTellingTakes = 30ms;
constexpr Duration kTellingAtTheEndTakes = 220ms;
// How late it may go: what the kernel usually takes.
constexpr Duration kVipLateness = 300ms;

// Tells apart two pgkeels that were given the same name: each has a state directory of its own, and keeps this in it.
Result<std::string> own_machine_id(const std::string& state_directory) {
  const std::string path = state_directory + "/machine.id";
  if (const auto known = read_file(path); known && !known->empty()) return *known;
  const std::string id = random_id();
  if (const auto written = write_durably(path, id); !written) return written.error();
  return id;
}

}  // namespace

Result<void> Application::open_coordination() {
  const CoordinationConfig& config = config_.coordination;
  if (!config.is_given()) return {};
  auto etcd = read_etcd_settings(config);
  if (!etcd) return etcd.error();
  etcd->secrets->tell([this](EtcdSecrets::Severity severity, const std::string& text) {
    record(severity == EtcdSecrets::Severity::kWarning ? LogLevel::kWarning : LogLevel::kInfo, "coordination", text);
  });
  const auto machine = own_machine_id(config_.state_directory);
  if (!machine) return machine.error();
  CoordinationSettings settings;
  settings.etcd = std::move(*etcd);
  settings.prefix = config.prefix;
  settings.lease = config.lease;
  settings.name = own_member_name(config);
  settings.self.machine = *machine;
  settings.self.instance = membership_ ? membership_->instance : random_id();
  settings.self.address = format_host_port(config.peer.address);
  settings.self.version = pgkeel_version();
  settings.self.configuration = digest_of(shared_settings(config_));
  coordination_certificates_.watch(certificates_of(config));
  if (const auto opened = open_peers(); !opened) return opened;
  coordinator_ = std::make_unique<Coordinator>(
      loop_, std::move(settings),
      [this](const std::string& address, const PromiseRequest& request, auto done) {
        peers_->ask_promise(address, request, std::move(done));
      },
      [this] { agreement_changed(); });
  Leadership::Wires wires;
  wires.clusters = [this] {
    std::vector<LedCluster> led;
    for (const auto& cluster : clusters_) led.push_back(cluster->as_led());
    return led;
  };
  wires.views = [this] { return peers_->views(); };
  wires.tell = [this](LogLevel severity, const std::string& text) { record(severity, "coordination", text); };
  leadership_ = std::make_unique<Leadership>(loop_, *coordinator_, !config.vip.address.empty(), std::move(wires));
  unserved_.emplace(*coordinator_, [this](std::function<void()> act) { workers_->follow_up(std::move(act)); });
  if (membership_) coordinator_->go_on_with_lease(membership_->lease, membership_->renewed_at);
  const auto opened = open_vip();
  membership_.reset();
  return opened;
}

// To the others both processes are one member, which is not gone for a moment.
Result<void> Application::check_membership(const std::optional<MovedMembership>& given) const {
  const CoordinationConfig& config = config_.coordination;
  if (!given && !config.is_given()) return {};
  if (given && config.is_given() && given->name == own_member_name(config) && given->prefix == config.prefix) return {};
  return Error{"the running pgkeel " +
               (given ? "is \"" + given->name + "\" of several, below " + given->prefix + " in etcd" : "is alone") +
               ", and this one is configured otherwise ([coordination]): stop that one and start this one"};
}

void Application::give_up_membership() {
  if (!coordinator_) return;
  membership_ = MovedMembership{.name = coordinator_->name(),
                                .prefix = config_.coordination.prefix,
                                .instance = coordinator_->instance(),
                                .lease = coordinator_->lease(),
                                .renewed_at = coordinator_->membership().renewed_at()};
  leadership_.reset();
  unserved_.reset();
  vip_agreement_.reset();
  if (vip_) vip_->leave_to_successor();
  vip_.reset();
  peers_.reset();
  coordinator_.reset();
}

// Where a primary is in doubt, they are asked often: by the time that it counts as failed, it is known what they hear.
void Application::sights_changed() {
  if (stopping_) return;
  for (const auto& cluster : clusters_) cluster->sights_changed();
  peers_->look_closely(is_ending() || std::ranges::any_of(clusters_, [](const auto& cluster) {
                         return cluster->primary_is_doubtful();
                       }));
  leadership_->review();
}

// Nobody is answered before the loop runs.
Result<void> Application::open_peers() {
  PeerServer::Answers answers;
  answers.promise = [this](const PromiseRequest& request) { return coordinator_->answer(request); };
  answers.view = [this] { return own_view(); };
  answers.cancel = [this](const PeerCancel& cancel, const std::function<void(bool)>& done) {
    done(workers_->forward_cancel(cancel.cluster, {cancel.process_id, cancel.secret}));
  };
  auto opened = PeerCircle::open(
      loop_, config_.coordination, shared_settings(config_), std::move(answers),
      [this](PeerCircle::Severity severity, const std::string& text) {
        record(severity == PeerCircle::Severity::kWarning ? LogLevel::kWarning : LogLevel::kInfo, "peers", text);
      });
  if (!opened) return opened.error();
  peers_ = std::move(*opened);
  peers_->on_news([this] { sights_changed(); });
  workers_->on_strange_cancel([this](const std::string& cluster, const CancelKey& key) {
    // Where another process has taken over, that one is asked.
    if (peers_) peers_->find_session({cluster, key.process_id, key.secret}, [](bool) {});
  });
  return {};
}

PeerView Application::own_view() const {
  PeerView view;
  view.name = own_member_name(config_.coordination);
  view.version = pgkeel_version();
  view.obstacles = leadership_->obstacles();
  view.is_ending = leadership_->stands_back();
  for (const auto& cluster : clusters_) {
    for (const auto& node : cluster->status().nodes) {
      PeerNodeView& seen = view.nodes[cluster->name()][node.name];
      seen.liveness = node.liveness;
      seen.is_primary = node.role == "primary";
      seen.heard_ago = node.last_answer_ago.value_or(Duration::zero());
    }
  }
  return view;
}

Result<void> Application::open_vip() {
  const VipConfig& vip = config_.coordination.vip;
  if (!vip.address.empty()) {
    const auto address = parse_interface_address(vip.address);
    if (!address) return address.error();
    auto holder = VipHolder::open(
        loop_, *address, vip.interface, membership_ ? VipLeftover::kKeep : VipLeftover::kRemove,
        [this, address = address->address](const VipEvent& event) {
          if (event.kind == VipEvent::Kind::kEnding) return vip_is_leaving(address);
          if (event.kind == VipEvent::Kind::kStays || event.kind == VipEvent::Kind::kTaken) vip_stays();
          if (event.kind == VipEvent::Kind::kReleased || event.kind == VipEvent::Kind::kVanished) vip_has_left();
          record(event.kind == VipEvent::Kind::kTrouble ? LogLevel::kWarning : LogLevel::kInfo, "vip", event.text);
          if (vip_agreement_) vip_agreement_->review();
        });
    if (!holder) return Error{"[coordination] vip: " + holder.error().message};
    vip_ = std::move(*holder);
  }
  vip_agreement_ = std::make_unique<VipAgreement>(
      *coordinator_, own_member_name(config_.coordination), config_.coordination.lease, vip_.get(),
      [this](const std::string& problem) { record(LogLevel::kWarning, "vip", problem); });
  return {};
}

// Clients are told while they can be, and find its next holder: who connects is not answered here until it is gone, and
// who is logging in may finish, where there is time for that.
void Application::vip_is_leaving(const IpAddress& address) {
  static_assert(kLoginsTake + kTellingNeeds <= kVipFarewell);
  if (stopping_) return;
  vip_leaves_ = true;
  ++vip_farewells_;
  workers_->turn_deaf_to(address);
  hears_again_.start_once(kVipFarewell + kVipLateness);
  workers_->follow_up([this, address, number = vip_farewells_] {
    if (stopping_ || !vip_leaves_) return;
    farewell_ = std::make_unique<Timer>(loop_, [this, address, number, began = loop_.now()] {
      if (somebody_logs_in(began) && vip_can_wait()) return;
      farewell_->stop();
      if (const std::uint64_t logins = workers_->logins_under_way(); logins > 0)
        log(LogLevel::kInfo, "vip",
            "it leaves, and is not waited for any more after " + format_duration(loop_.now() - began) +
                "; logins still under way: " + std::to_string(logins));
      end_clients_of(address);
      workers_->follow_up([this, number] { clients_of_vip_are_told(number); });
    });
    farewell_->start_repeating(kLoginsLook);
  });
}

bool Application::vip_can_wait() const {
  return vip_ && vip_->is_held() && Coordinator::now() < vip_->goes_at() - kTellingNeeds;
}

// Its end was near, and is not any more; or it is taken anew. Who has been told so is gone; everybody else is served
// on.
void Application::vip_stays() {
  vip_leaves_ = false;
  if (stopping_) return;
  farewell_.reset();
  hears_again_.stop();
  workers_->turn_deaf_to({});
}

// Nothing that goes there comes here any more.
void Application::vip_has_left() {
  if (stopping_) return;
  hears_again_.stop();
  workers_->turn_deaf_to({});
}

// What was said to them has this address as its source, and is on its way. Not where it has stayed since, and leaves
// again.
void Application::clients_of_vip_are_told(std::uint64_t farewell) {
  if (stopping_ || !vip_leaves_ || farewell != vip_farewells_) return;
  farewell_ = std::make_unique<Timer>(loop_, [this] {
    if (vip_agreement_) vip_agreement_->everybody_is_told();
  });
  farewell_->start_once(kTellingTakes);
}

void Application::agreement_changed() {
  const AgreedState& state = coordinator_->membership().state();
  const std::string problem = coordinator_->problem();
  const bool comes_or_goes = problem.empty() != told_coordination_problem_.empty();
  constexpr Duration kTellAnother = std::chrono::minutes(1);  // one endpoint has another text than the next
  if (problem != told_coordination_problem_ &&
      (comes_or_goes || monotonic_now() >= coordination_problem_told_at_ + kTellAnother)) {
    told_coordination_problem_ = problem;
    coordination_problem_told_at_ = monotonic_now();
    record(problem.empty() ? LogLevel::kInfo : LogLevel::kWarning, "coordination",
           problem.empty() ? "etcd answers again" : problem);
  }
  if (state.term != told_term_ && !state.leader.empty()) {
    told_term_ = state.term;
    record(LogLevel::kInfo, "coordination", "pgkeel " + state.leader + " leads, in term " + std::to_string(state.term));
  }
  std::map<std::string, std::string> addresses;
  for (const auto& [member, live] : state.members) {
    if (member != own_member_name(config_.coordination)) addresses[member] = live.address;
  }
  peers_->members_are(addresses);
  if (stopping_) return review_while_stopping();
  for (const auto& cluster : clusters_) cluster->review_agreement();
  review_unserved();
  leadership_->review();
  if (vip_agreement_) vip_agreement_->review();
}

// Nothing new is begun, but the lease is renewed: those who are logging in still, or are being told, have that time.
void Application::review_while_stopping() {
  for (const auto& cluster : clusters_) cluster->review_write_deadline();
  if (vip_agreement_) vip_agreement_->review();
}

// Sessions that are left in a former process are none of what is served here.
void Application::review_unserved() {
  if (!formers_.empty()) return;
  std::set<std::string> served;
  for (const auto& cluster : clusters_) served.insert(cluster->name());
  unserved_->review(served);
}

void Application::add_agreement(ClusterStatus& status) const {
  if (!status.agreement) return;
  status.agreement->hand_overs = leadership_->hand_overs();
  const auto seen = peers_->views();
  for (auto& member : status.agreement->members) {
    const auto theirs = seen.find(member.name);
    const auto obstacles = member.is_self         ? leadership_->obstacles()
                           : theirs != seen.end() ? theirs->second.view.obstacles
                                                  : std::map<std::string, std::string>();
    if (const auto obstacle = obstacles.find(status.name); obstacle != obstacles.end())
      member.cannot_decide = obstacle->second;
    const auto differences = peers_->differences().find(member.name);
    if (differences != peers_->differences().end()) member.differs_in = differences->second;
    // One that cannot be asked has told etcd a digest.
    const auto& members = coordinator_->membership().state().members;
    const auto told = members.find(member.name);
    if (told == members.end() || member.is_self || seen.contains(member.name)) continue;
    if (told->second.configuration != digest_of(shared_settings(config_)))
      member.differs_in = {"something that it cannot be asked for now"};
  }
  const VipConfig& vip = config_.coordination.vip;
  if (!vip.address.empty())
    status.agreement->vip = VipStatus{vip.address, vip.interface, vip_ && vip_->is_held(),
                                      vip_agreement_ ? vip_agreement_->holder_name() : ""};
}

// Who has connected is not refused, and who connects from now on finds one of the others: by its next host, or, where
// it knows but the virtual IP, because it is not answered here, and passed on to the next holder (or tries again).
void Application::stop_among_others(bool next_one_listens) {
  AtTheDoor newcomers = next_one_listens ? AtTheDoor::kWaits : AtTheDoor::kRefused;
  if (vip_agreement_) vip_agreement_->take_nothing();
  farewell_.reset();
  hears_again_.stop();
  const bool are_at_the_vip = vip_ && vip_->is_held();
  if (are_at_the_vip) {
    newcomers = AtTheDoor::kUnanswered;
    deaf_sockets_ = workers_->listening_sockets();
  }
  workers_->close_doors(newcomers);
  workers_->follow_up([this, next_one_listens, are_at_the_vip, began = loop_.now()] {
    stop_step_ = std::make_unique<Timer>(loop_, [this, next_one_listens, are_at_the_vip, began] {
      const bool may_wait = loop_.now() < began + kLoginsTake && (!are_at_the_vip || vip_can_wait());
      if (somebody_logs_in(began) && may_wait) return;
      stop_step_->stop();
      end_clients_among_others(next_one_listens);
    });
    stop_step_->start_repeating(kLoginsLook);
  });
}

void Application::end_clients_among_others(bool next_one_listens) {
  stop_waits_for_ = 2;
  workers_->stop(
      kStopLimit, [this] { stop_has_come_on(); }, next_one_listens);
  // To the others the sessions of former processes are ours.
  const auto each = [this, left = std::make_shared<std::size_t>(formers_.size() + 1)] {
    if (--*left == 0) no_client_is_served();
  };
  workers_->follow_up(each);
  for (const auto& [pid, former] : formers_) former->end_sessions("the process that took over is ended", each);
}

// And each has been told.
void Application::no_client_is_served() {
  if (!vip_ || !vip_->is_held()) return leave_the_others();
  // What was said to them has this address as its source.
  stop_step_ = std::make_unique<Timer>(loop_, [this] { leave_the_others(); });
  stop_step_->start_once(kTellingAtTheEndTakes);
}

// They need not wait for the end of our lease.
void Application::leave_the_others() {
  vip_agreement_.reset();
  vip_.reset();
  deaf_sockets_.clear();
  coordinator_->leave([this] { stop_has_come_on(); });
}

void Application::stop_has_come_on() {
  if (--stop_waits_for_ == 0) loop_.stop();
}

}  // namespace pgkeel
