// The pgkeels that serve the cluster, each on a host of its own: one, or several with the etcd through which they
// agree, and with a virtual IP where it is wanted. Failures throw. One thread, which starts them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/chaos/etcd_cluster.h"
#include "tests/chaos/history.h"
#include "tests/support/agent_process.h"
#include "tests/support/network.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::chaos {

inline constexpr const char* kPgkeelHost = "pgkeel";  // where there is one
inline constexpr const char* kVirtualAddress = "10.77.0.200";

class Pgkeels {
 public:
  static std::vector<std::string> names(std::size_t count);
  // Beside those: of the members of etcd.
  static std::vector<std::string> hosts_of_etcd(std::size_t count);
  // Of the lease by which several agree.
  static constexpr Duration kLease = std::chrono::seconds(4);

  // `options`: what all have in common.
  Pgkeels(const test::Network& network, std::size_t count, bool with_vip,
          const std::vector<test::PostgresServer*>& nodes, const test::Certificates* certificates,
          test::PgkeelOptions options);

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] bool are_several() const { return names_.size() > 1; }
  [[nodiscard]] bool have_vip() const { return with_vip_; }
  [[nodiscard]] EtcdCluster& etcd() { return *etcd_; }

  [[nodiscard]] test::PgkeelProcess& process(const std::string& name) { return *processes_.at(name); }
  void start(const std::string& name);
  void start_all();  // etcd too
  void kill(const std::string& name) { processes_.at(name)->kill(); }
  void end_in_order(const std::string& name) { processes_.at(name)->terminate(); }
  // As `pgkeel restart` does: another process takes over from it.
  void restart(const std::string& name);
  void freeze(const std::string& name);
  void thaw_all();  // etcd too
  void kill_all();

  // Of the one that decides, else of one that answers; null: none does.
  [[nodiscard]] nlohmann::json status() const;
  // Each of them routes, and knows that all the others do.
  [[nodiscard]] bool all_route() const;
  // One of them says that etcd does not answer, and lets clients through as all the others promise.
  [[nodiscard]] bool go_on_by_promises() const;
  [[nodiscard]] bool wait_until_all_route() const;
  [[nodiscard]] bool routes(const std::string& name) const;
  [[nodiscard]] std::string leader() const;  // empty: none says that it leads
  [[nodiscard]] std::string describe() const;

  // Of the access point, by one of them after the other: whoever has several hosts tries them in this order. With a
  // virtual IP: just that.
  [[nodiscard]] std::vector<std::string> conninfos() const;
  // Of one alone.
  [[nodiscard]] std::string conninfo_of(const std::string& name) const;
  [[nodiscard]] const std::vector<Freeze>& freezes() const { return freezes_; }  // that are over

 private:
  [[nodiscard]] nlohmann::json status_of(const std::string& name) const;
  [[nodiscard]] std::string conninfo(const std::string& hosts) const;

  const test::Network& network_;
  const std::vector<std::string> names_;
  const bool with_vip_;
  std::unique_ptr<EtcdCluster> etcd_;
  std::map<std::string, std::unique_ptr<test::TemporaryFolder>> folders_;
  std::map<std::string, std::unique_ptr<test::PgkeelProcess>> processes_;
  std::map<std::string, Instant> frozen_since_;
  std::vector<Freeze> freezes_;
};

}  // namespace pgkeel::chaos
