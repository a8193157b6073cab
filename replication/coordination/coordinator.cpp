#include "replication/coordination/coordinator.h"

#include <algorithm>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

constexpr const char* kPutBack = "an earlier state";

}  // namespace

Coordinator::Coordinator(Loop& loop, CoordinationSettings settings, AskPeer ask_peer, std::function<void()> on_change)
    : loop_(loop),
      settings_(std::move(settings)),
      keys_(settings_.prefix),
      ask_peer_(std::move(ask_peer)),
      on_change_(std::move(on_change)),
      etcd_(loop, settings_.etcd),
      membership_(settings_.name, settings_.self.instance, {settings_.lease}, now()),
      timer_(loop, [this] { go_on(); }) {}

Coordinator::~Coordinator() = default;

Instant Coordination::now() {
  return Instant{since_boot()};
}

void Coordinator::go_on_with_lease(std::uint64_t lease, Instant renewed_at) {
  lease_ = lease;
  was_registered_ = true;
  membership_.go_on_with_lease(renewed_at);
}

std::string Coordinator::why_no_handover() const {
  if (!membership_.is_carried_by_lease(now()))
    return "etcd has not renewed the lease of this pgkeel just now; try again";
  return changes_asked_for_ > 0 ? "something is being written to etcd; try again" : "";
}

void Coordinator::start() {
  read_all();
  go_on();
}

void Coordinator::go_on() {
  if (leaving_) return;
  const Instant at = now();
  const CoordinationWishes wishes = membership_.step(at);
  // Before anything is sent: whom a new roster names may lead before its answer is here, and deadlines go by that.
  on_change_();
  carry_out(wishes);
  if (!watching_ && !reading_ && at >= read_again_at_) read_all();
  timer_.start_once(std::max<Duration>(wishes.again_at - at, std::chrono::milliseconds(1)));
}

void Coordinator::carry_out(const CoordinationWishes& wishes) {
  if (wishes.grant_lease) grant();
  if (wishes.renew_lease) renew();
  if (wishes.register_member) enroll();
  if (wishes.campaign) campaign();
  if (!wishes.hand_over.empty()) give_up(wishes.hand_over);
  if (wishes.write_roster) replace_roster(*wishes.write_roster);
  for (const auto& [cluster, serial] : wishes.acknowledge) acknowledge(cluster, serial);
  for (const auto& [member, live] : membership_.state().members) addresses_[member] = live.address;
  for (const auto& member : wishes.ask_promises) ask_promise(member);
}

void Coordinator::ask(const char* what, const EtcdRequest& request, EtcdClient::Done done) {
  ask_within(CoordinationPolicy{settings_.lease}.renew_every(), what, request, std::move(done));
}

void Coordinator::ask_within(Duration limit, const char* what, const EtcdRequest& request, EtcdClient::Done done) {
  etcd_.ask(request, limit, [this, what, done = std::move(done)](Result<std::string, EtcdFailure> body) {
    note(what, body);
    done(std::move(body));
    go_on();
  });
}

// An etcd that was restored from a snapshot knows less than it has told: whom it has no lease of may be serving.
bool Coordinator::was_put_back(std::uint64_t revision, std::uint64_t known_before) {
  if (revision >= known_before) return false;
  lease_ = 0;
  membership_.lease_lost();
  problems_[kPutBack] = "etcd was put back to an earlier state (revision " + std::to_string(revision) + ", after " +
                        std::to_string(known_before) +
                        "): this pgkeel does not use it any more; stop every pgkeel, wait for the length of the lease, "
                        "and start them again";
  leaving_ = true;
  timer_.stop();
  etcd_.end_watch();
  on_change_();
  return true;
}

void Coordinator::ask_for_change(const char* what, const EtcdRequest& request, EtcdClient::Done done) {
  ++changes_asked_for_;
  ask(what, request, [this, done = std::move(done)](Result<std::string, EtcdFailure> body) {
    --changes_asked_for_;
    done(std::move(body));
  });
}

void Coordinator::grant() {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(settings_.lease).count();
  ask_for_change("lease", grant_lease(static_cast<std::uint64_t>(seconds)),
                 [this, sent_at = now()](Result<std::string, EtcdFailure> body) {
                   if (!body) return membership_.lease_not_granted();
                   const auto lease = read_granted(*body);
                   if (!lease) {
                     problems_["lease"] = lease.error().message;
                     return membership_.lease_not_granted();
                   }
                   lease_ = *lease;
                   membership_.lease_granted(sent_at);
                 });
}

void Coordinator::renew_now(std::function<void()> then) {
  if (lease_ == 0) return loop_.defer(std::move(then));
  renew(then);
}

void Coordinator::renew(const std::function<void()>& then) {
  ask("lease", renew_lease(lease_),
      [this, lease = lease_, sent_at = now(), then](const Result<std::string, EtcdFailure>& body) {
        take_renewal(lease, sent_at, body);
        if (then) loop_.defer(then);
      });
}

void Coordinator::take_renewal(std::uint64_t lease, Instant sent_at, const Result<std::string, EtcdFailure>& body) {
  if (lease != lease_ || leaving_) return;
  const bool unknown = !body && lease_is_unknown(body.error().answer);
  if (!body && !unknown) return membership_.lease_not_renewed();
  const auto renewal = unknown ? Result<EtcdRenewal>(EtcdRenewal{}) : read_renewal(*body);
  if (!renewal) {
    problems_["lease"] = renewal.error().message;
    return membership_.lease_not_renewed();
  }
  if (unknown) problems_.erase("lease");  // etcd answers; another one is granted
  if (!renewal->holds) {
    lease_ = 0;
    return membership_.lease_lost();
  }
  membership_.lease_renewed(sent_at);
  forget_old_silence();
  tell_configuration();
  // A watch whose connection is dead says nothing; others may also have written what is none of ours. A revision that
  // went back may be that of an etcd member that is behind: a read tells.
  if (agreed_.revision < seen_revision_ || renewal->revision < agreed_.revision) read_all();
  seen_revision_ = renewal->revision;
}

void Coordinator::enroll() {
  const auto before = agreed_.members.find(settings_.name);
  if (agreed_.revision == 0 || reading_) {
    membership_.not_registered();
    return read_all();
  }
  if (before != agreed_.members.end() && is_namesake(before->second)) {
    problems_["registration"] =
        "another pgkeel has the name " + settings_.name + " already, at " + before->second.address +
        (before->second.machine == settings_.self.machine ? ", and a copy of this one's state directory" : "");
    membership_.not_registered();
    // What the lease keeps in our name must not stand in its way.
    if (agreed_.leader == settings_.name && agreed_.leader_instance == settings_.self.instance) give_lease_back();
    return;
  }
  const EtcdTransaction transaction =
      EtcdTransaction()
          .if_version(keys_.member(settings_.name), before == agreed_.members.end() ? 0 : before->second.revision)
          .remove_prefix(keys_.applied_of(settings_.name))
          .remove_prefix(keys_.drained_of(settings_.name))
          .put(keys_.member(settings_.name), write_live_member(settings_.self), lease_)
          .read_prefix(keys_.prefix());
  ask_for_change("registration", transaction.request(), [this, lease = lease_](Result<std::string, EtcdFailure> body) {
    if (!body && lease_is_unknown(body.error().answer) && lease == lease_) {
      lease_ = 0;
      membership_.lease_lost();
    }
    if (!body) return membership_.not_registered();
    const auto answer = read_answer(*body);
    if (!answer || !answer->succeeded || lease != lease_) {
      membership_.not_registered();
      return read_all();
    }
    if (answer->revision < agreed_.revision) return membership_.not_registered();  // the watch has told more meanwhile
    was_registered_ = true;
    take_all(*answer);
    membership_.registered(agreed_, now());
    watch();
  });
}

// One of this machine is an earlier life of ours, since only one process at a time has the state directory; but none
// can have begun after this one was registered.
bool Coordinator::is_namesake(const LiveMember& other) const {
  return other.machine != settings_.self.machine || (was_registered_ && other.instance != settings_.self.instance);
}

void Coordinator::give_lease_back() {
  membership_.lease_lost();
  const std::uint64_t lease = std::exchange(lease_, 0);
  ask_for_change("lease", revoke_lease(lease), [](const Result<std::string, EtcdFailure>&) {});
}

void Coordinator::read_all() {
  if (std::exchange(reading_, true)) return;
  read_again_at_ = now() + CoordinationPolicy{settings_.lease}.renew_every();
  ask("reading", read_prefix(keys_.prefix()), [this, known = agreed_.revision](Result<std::string, EtcdFailure> body) {
    reading_ = false;
    if (leaving_) return;
    if (!body) {
      watching_ = false;
      return;
    }
    const auto answer = read_answer(*body);
    if (!answer) {
      problems_["reading"] = answer.error().message;
      return;
    }
    // etcd reads what a majority of it has, which is no less than it has told before.
    if (was_put_back(answer->revision, known)) return;
    if (answer->revision < agreed_.revision) return;  // the watch has told more meanwhile
    take_all(*answer);
    membership_.agreed(agreed_, now());
    watch();
  });
}

void Coordinator::take_all(const EtcdAnswer& answer) {
  AgreedState state;
  state.revision = answer.revision;
  // In the order of the keys "applied/…" comes before "members/…".
  for (const bool members : {true, false}) {
    for (const auto& entry : answer.entries) {
      if (entry.key.starts_with(keys_.member("")) != members) continue;
      if (const auto taken = keys_.take(state, entry); !taken) problems_["reading"] = taken.error().message;
    }
  }
  agreed_ = std::move(state);
}

void Coordinator::watch() {
  watching_ = true;
  problems_.erase("watch");
  etcd_.watch(
      keys_.prefix(), agreed_.revision + 1, [this](const EtcdNews& news) { take_news(news); },
      [this](std::string why) {
        watching_ = false;
        problems_["watch"] = std::move(why);
        go_on();
      });
}

void Coordinator::take_news(const EtcdNews& news) {
  if (news.events.empty()) return;
  const std::uint64_t known = agreed_.revision;
  for (const auto& event : news.events) {
    if (event.entry.version != 0 && event.entry.version <= known) continue;  // it was read meanwhile
    if (event.gone) {
      keys_.take_gone(agreed_, event.entry.key);
    } else if (const auto taken = keys_.take(agreed_, event.entry); !taken) {
      problems_["reading"] = taken.error().message;
    }
  }
  agreed_.revision = std::max(agreed_.revision, news.revision);
  membership_.agreed(agreed_, now());
  go_on();
}

void Coordinator::campaign() {
  const EtcdTransaction transaction =
      EtcdTransaction()
          .if_created_at(keys_.leader(), 0)
          .if_version(keys_.roster(), membership_.state().roster.version)
          .if_lease(keys_.member(settings_.name), lease_)
          .put(keys_.leader(), write_leader(settings_.name, settings_.self.instance), lease_)
          .remove(keys_.heir());
  ask_for_change("leadership", transaction.request(),
                 [this](const Result<std::string, EtcdFailure>&) { membership_.campaign_over(); });
}

// Those who serve here learn first that it leads no more.
void Coordinator::hand_over(const std::string& heir) {
  membership_.hand_over(heir);
  on_change_();
  go_on();
}

void Coordinator::give_up(const std::string& heir) {
  const EtcdTransaction transaction = EtcdTransaction()
                                          .if_created_at(keys_.leader(), membership_.state().term)
                                          .remove(keys_.leader())
                                          .put(keys_.heir(), heir, lease_);
  ask_for_change("leadership", transaction.request(),
                 [this](const Result<std::string, EtcdFailure>&) { membership_.hand_over_tried(); });
}

void Coordinator::configuration_is(const std::string& digest) {
  if (settings_.self.configuration == digest) return;
  settings_.self.configuration = digest;
  tell_configuration();
}

// Where etcd does not answer now, the next registration, or the next review, tells it.
void Coordinator::tell_configuration() {
  const auto known = agreed_.members.find(settings_.name);
  if (known == agreed_.members.end() || known->second.instance != settings_.self.instance) return;
  if (known->second.configuration == settings_.self.configuration || std::exchange(telling_configuration_, true))
    return;
  const EtcdTransaction transaction = EtcdTransaction()
                                          .if_lease(keys_.member(settings_.name), lease_)
                                          .put(keys_.member(settings_.name), write_live_member(settings_.self), lease_);
  ask_for_change("registration", transaction.request(),
                 [this](const Result<std::string, EtcdFailure>&) { telling_configuration_ = false; });
}

void Coordinator::replace_roster(const Roster& roster) {
  EtcdTransaction transaction;
  transaction.if_version(keys_.roster(), roster.version);
  if (roster.version != 0) {
    transaction.if_created_at(keys_.leader(), membership_.state().term);
    for (const auto& member : membership_.state().roster.members) {
      if (!roster.members.contains(member)) transaction.if_created_at(keys_.member(member), 0);
    }
  }
  transaction.put(keys_.roster(), write_roster(roster));
  ask_for_change("roster", transaction.request(),
                 [this](const Result<std::string, EtcdFailure>&) { membership_.roster_write_over(); });
}

void Coordinator::acknowledge(const std::string& cluster, std::uint64_t serial) {
  const EtcdTransaction transaction = EtcdTransaction()
                                          .if_lease(keys_.member(settings_.name), lease_)
                                          .put(keys_.applied(settings_.name, cluster), std::to_string(serial), lease_);
  ask_for_change("acknowledgement", transaction.request(), [this, cluster](const Result<std::string, EtcdFailure>&) {
    membership_.acknowledgement_over(cluster);
  });
}

void Coordinator::ask_promise(const std::string& member) {
  const auto address = addresses_.find(member);
  if (address == addresses_.end()) return membership_.promise_not_heard(member);
  ask_peer_(address->second, membership_.promise_request(),
            [this, alive = std::weak_ptr<bool>(alive_), member, asked_at = now()](std::optional<Promise> promise) {
              if (alive.expired()) return;
              if (promise && promise->from == member) {
                membership_.promise_heard(*promise, asked_at);
              } else {
                membership_.promise_not_heard(member);
              }
              go_on();
            });
}

void Coordinator::route_applied(const std::string& cluster, std::uint64_t serial) {
  membership_.route_applied(cluster, serial);
  go_on();
}

void Coordinator::route_drained(const std::string& cluster, std::uint64_t serial) {
  const EtcdTransaction transaction = EtcdTransaction()
                                          .if_lease(keys_.member(settings_.name), lease_)
                                          .put(keys_.drained(settings_.name, cluster), std::to_string(serial), lease_);
  ask_for_change("acknowledgement", transaction.request(), [](const Result<std::string, EtcdFailure>&) {});
}

bool Coordinator::drained_elsewhere(const std::string& cluster, std::uint64_t serial) const {
  return std::ranges::all_of(membership_.state().members, [&](const auto& member) {
    const auto drained = member.second.drained.find(cluster);
    return member.first == settings_.name || (drained != member.second.drained.end() && drained->second >= serial);
  });
}

void Coordinator::leave(std::function<void()> left) {
  leaving_ = true;
  timer_.stop();
  etcd_.end_watch();
  membership_.lease_lost();  // nothing is ordered any more, whether the answer arrives or not
  if (lease_ == 0) return loop_.defer(std::move(left));
  const Duration limit = CoordinationPolicy{settings_.lease}.renew_every();
  etcd_.ask(revoke_lease(std::exchange(lease_, 0)), limit,
            [left = std::move(left)](const Result<std::string, EtcdFailure>&) { left(); });
}

}  // namespace pgkeel
