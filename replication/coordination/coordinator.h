// What a Membership wishes, done: asks etcd and the other members, hands their answers over, and carries the writes of
// the leader. Control thread only; callbacks come later, and not any more when this is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/timer.h"
#include "replication/coordination/coordination.h"
#include "replication/coordination/etcd_client.h"
#include "replication/coordination/membership.h"

namespace pgkeel {

struct CoordinationSettings {
  EtcdSettings etcd;
  std::string prefix;  // ends with "/"
  Duration lease;      // whole seconds
  std::string name;    // of this member
  LiveMember self;     // what the others are told
};

class Coordinator final : public Coordination {
 public:
  // Asks the member at this address for a promise; nothing: it has none to give, or does not answer.
  using AskPeer = std::function<void(const std::string& address, const PromiseRequest& request,
                                     std::function<void(std::optional<Promise>)> done)>;
  // `on_change`: something that follows from the membership may have changed, or its deadlines.
  Coordinator(Loop& loop, CoordinationSettings settings, AskPeer ask_peer, std::function<void()> on_change);
  ~Coordinator() override;
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // Another process has been this member: its lease goes on here (`self.instance` is that one's). Before start().
  void go_on_with_lease(std::uint64_t lease, Instant renewed_at);
  void start();

  // Why the lease cannot be given to another process now; empty: it can. What this one asked for has been answered, and
  // it is to ask for nothing more once it has given it.
  [[nodiscard]] std::string why_no_handover() const;
  // Renews the lease whether it is time or not; `then` comes later, when etcd has answered or has not in time.
  void renew_now(std::function<void()> then);
  [[nodiscard]] std::uint64_t lease() const { return lease_; }
  [[nodiscard]] const std::string& instance() const { return settings_.self.instance; }

  [[nodiscard]] const Membership& membership() const override { return membership_; }
  [[nodiscard]] const std::string& name() const override { return settings_.name; }
  void route_applied(const std::string& cluster, std::uint64_t serial) override;
  void route_drained(const std::string& cluster, std::uint64_t serial) override;
  [[nodiscard]] bool drained_elsewhere(const std::string& cluster, std::uint64_t serial) const override;
  std::optional<Promise> answer(const PromiseRequest& request) { return membership_.answer(request, now()); }

  void write_memory(const std::string& cluster, const std::string& text, Written written) override;
  void write_route(const std::string& cluster, SharedRoute route, Written written) override;
  void hand_over(const std::string& heir) override;
  void stand_back() override { membership_.stand_back(); }

  // A reload has changed what must be the same everywhere.
  void configuration_is(const std::string& digest);

  // Gives up the lease, and with it what the others wait for. No client may be served any more when this is called.
  void leave(std::function<void()> left);

  [[nodiscard]] std::string problem() const override;

 private:
  void go_on();
  void carry_out(const CoordinationWishes& wishes);
  void grant();
  void renew(const std::function<void()>& then = {});
  void take_renewal(std::uint64_t lease, Instant sent_at, const Result<std::string, EtcdFailure>& body);
  void enroll();
  void read_all();
  void campaign();
  void give_up(const std::string& heir);
  void tell_configuration();
  void replace_roster(const Roster& roster);
  void acknowledge(const std::string& cluster, std::uint64_t serial);
  void ask_promise(const std::string& member);
  using Carried = std::function<void(Result<std::uint64_t> revision)>;
  // `version_there`: of what is to be written, where the newest state has it; else 0.
  void write(EtcdTransaction transaction, std::function<std::uint64_t()> version_there, Carried carried);
  void take_all(const EtcdAnswer& answer);
  void watch();
  void take_news(const EtcdNews& news);
  [[nodiscard]] bool is_namesake(const LiveMember& other) const;
  void give_lease_back();
  bool was_put_back(std::uint64_t revision, std::uint64_t known_before);
  // Asks etcd; `done` is called unless this is gone, then what follows is done. `what` it is about: a problem with that
  // lasts until such a request succeeds.
  void ask(const char* what, const EtcdRequest& request, EtcdClient::Done done);
  // … to change something there, but the time of the lease.
  void ask_for_change(const char* what, const EtcdRequest& request, EtcdClient::Done done);
  void ask_within(Duration limit, const char* what, const EtcdRequest& request, EtcdClient::Done done);
  void note(const char* what, const Result<std::string, EtcdFailure>& body);
  void forget_old_silence();

  Loop& loop_;
  CoordinationSettings settings_;
  const EtcdKeys keys_;
  const AskPeer ask_peer_;
  const std::function<void()> on_change_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  EtcdClient etcd_;
  Membership membership_;
  std::map<std::string, std::string> addresses_;  // of members, also of those whose lease is over
  AgreedState agreed_;                            // as the watch has told it so far
  // What this one wrote last, which the watch may not have told yet.
  std::map<std::string, std::uint64_t> written_memories_;  // versions, by cluster
  std::map<std::string, SharedRoute> written_routes_;      // by cluster
  std::uint64_t lease_ = 0;                                // 0: none
  std::uint64_t seen_revision_ = 0;                        // etcd was at it when the last but one renewal was answered
  std::size_t changes_asked_for_ = 0;                      // and not answered yet
  bool watching_ = false;
  bool leaving_ = false;
  bool reading_ = false;
  bool telling_configuration_ = false;
  bool was_registered_ = false;                  // in this life
  Instant read_again_at_{};                      // where the watch has ended
  std::map<std::string, std::string> problems_;  // by what they are about
  std::map<std::string, Instant> silent_since_;  // of those that are about an answer that did not come
  Timer timer_;
};

}  // namespace pgkeel
