// A cluster of two servers with pgkeel in front, and for each driver one application per state of a client, plus one
// with a pool: plays the failures, and keeps what each application reported. Failures of the cluster throw. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/drivers/driver.h"
#include "tests/drivers/driver_process.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

namespace pgkeel::test {

// How applications, pgkeel and the servers talk to each other.
enum class Encryption {
  kNone,       // in clear, and trusted
  kClients,    // applications with pgkeel in TLS; SCRAM
  kBothSides,  // pgkeel with the servers too
};

// What an application that connected again and again in a switchover saw.
struct Connects {
  int made = 0;
  std::vector<nlohmann::json> failed;
};

struct Applications {
  const Driver* driver;
  std::map<ClientState, DriverProcess> by_state;
  std::unique_ptr<DriverProcess> pool;    // null: the driver has none
  std::unique_ptr<DriverProcess> direct;  // its session is with the server itself

  // Answers by what was played ("node down", …).
  std::map<std::string, std::map<ClientState, nlohmann::json>> reports;
  std::map<std::string, std::map<ClientState, nlohmann::json>> connected_again;
  std::map<std::string, nlohmann::json> pool_uses;
  std::optional<Connects> connects;
  nlohmann::json direct_report;
};

class Trial {
 public:
  Trial(const std::vector<Driver*>& drivers, Encryption encryption);

  // No route yet, and hold_timeout passes: each gets an error. Then one is opened: those who wait get through.
  void play_connecting();
  // Without pgkeel: a server ends sessions in which a query runs with its own 57P01.
  void play_direct();
  // The tree of the primary is killed.
  void play_node_down();
  // An operator's orders while both nodes are well.
  void play_failover();
  void play_switchover();  // an application of each driver connects again and again meanwhile

  [[nodiscard]] const std::deque<Applications>& applications() const { return applications_; }

 private:
  void start_pgkeel(const std::string& hold_timeout);
  void start_applications(const std::vector<Driver*>& drivers);
  void play(const std::string& what, const std::function<void()>& change_route);
  void enter_states(const PostgresServer& primary);
  void await_states(const PostgresServer& primary) const;
  void connect_until(const std::function<bool()>& is_over);
  void collect_reports(const std::string& what);
  void connect_again(const std::string& what);
  [[nodiscard]] PostgresServer& primary() const;
  [[nodiscard]] std::vector<DriverProcess*> all_connections();

  Encryption encryption_;
  TemporaryFolder folder_;
  TestCertificates certificates_;
  std::unique_ptr<PostgresServer> a_;
  std::unique_ptr<PostgresServer> b_;
  std::unique_ptr<PgkeelProcess> pgkeel_;
  std::deque<Applications> applications_;
};

}  // namespace pgkeel::test
