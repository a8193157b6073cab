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

class Coordinator {
 public:
  // Asks the member at this address for a promise; nothing: it has none to give, or does not answer.
  using AskPeer = std::function<void(const std::string& address, const PromiseRequest& request,
                                     std::function<void(std::optional<Promise>)> done)>;
  using Written = std::function<void(Result<void> result)>;

  // `on_change`: something that follows from the membership may have changed, or its deadlines.
  Coordinator(Loop& loop, CoordinationSettings settings, AskPeer ask_peer, std::function<void()> on_change);
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  void start();

  // All times of a Membership: on CLOCK_BOOTTIME.
  [[nodiscard]] static Instant now();
  [[nodiscard]] const Membership& membership() const { return membership_; }
  [[nodiscard]] const std::string& name() const { return settings_.name; }
  void route_applied(const std::string& cluster, std::uint64_t serial);
  // No session here is in a transaction under this route, which drains. Told to the leader, who does without where that
  // fails: draining has a limit.
  void route_drained(const std::string& cluster, std::uint64_t serial);
  // Leader: all other members have said so.
  [[nodiscard]] bool drained_elsewhere(const std::string& cluster, std::uint64_t serial) const;
  std::optional<Promise> answer(const PromiseRequest& request) { return membership_.answer(request, now()); }

  // Leader: durable when `written` says so. An error: it may have been written or not, and the newest state tells.
  void write_memory(const std::string& cluster, const std::string& text, Written written);
  // Its serial is given here: the next one.
  void write_route(const std::string& cluster, SharedRoute route, Written written);

  // Gives up the lease, and with it what the others wait for. No client may be served any more when this is called.
  void leave(std::function<void()> left);

  // What stands in the way, for a person; empty: nothing.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void go_on();
  void carry_out(const CoordinationWishes& wishes);
  void grant();
  void renew();
  void enroll();
  void read_all();
  void campaign();
  void replace_roster(const Roster& roster);
  void acknowledge(const std::string& cluster, std::uint64_t serial);
  void ask_promise(const std::string& member);
  using Carried = std::function<void(Result<std::uint64_t> revision)>;
  void write(EtcdTransaction transaction, Carried carried);
  void take_all(const EtcdAnswer& answer);
  void watch();
  void take_news(const EtcdNews& news);
  void etcd_said(std::string problem);
  // Asks etcd; `done` is called unless this is gone, then what follows is done.
  void ask(const EtcdRequest& request, EtcdClient::Done done);

  Loop& loop_;
  const CoordinationSettings settings_;
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
  bool watching_ = false;
  bool leaving_ = false;
  bool reading_ = false;
  std::string problem_;
  Timer timer_;
};

}  // namespace pgkeel
