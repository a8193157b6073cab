#include "tests/drivers/trial.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <stdexcept>
#include <thread>

#include "tests/support/wait_until.h"

namespace pgkeel::test {
namespace {

constexpr const char* kShortHold = "1s";
constexpr const char* kLongHold = "60s";
constexpr const char* kSwitchover = "switchover";

constexpr const char* kPassword = "open sesame";

ServerOptions server_options(Encryption encryption, const TestCertificates& certificates) {
  // Many drivers, each with several sessions, beside what the pools hold.
  ServerOptions options{.settings = {"max_connections = 400"}};
  if (encryption == Encryption::kNone) return options;
  options.hba_lines = {"local all all trust", "host all application all scram-sha-256", "host all all all trust",
                       "host replication all all trust"};
  if (encryption != Encryption::kBothSides) return options;
  const std::string folder = certificates.cert.substr(0, certificates.cert.rfind('/'));
  certificates.write_server(folder + "/server.crt", folder + "/server.key", {"127.0.0.1"});
  options.settings.emplace_back("ssl = on");
  options.settings.push_back("ssl_cert_file = '" + folder + "/server.crt'");
  options.settings.push_back("ssl_key_file = '" + folder + "/server.key'");
  return options;
}

PgkeelOptions pgkeel_options(Encryption encryption, const TestCertificates& certificates) {
  PgkeelOptions options{.proxy_lines = {std::string("hold_timeout = \"") + kShortHold + "\""}};
  if (encryption != Encryption::kNone) {
    options.cluster_lines.push_back(certificates.client_tls("require"));
  }
  if (encryption == Encryption::kBothSides) options.cluster_lines.emplace_back("server_tls = { mode = \"require\" }");
  return options;
}

constexpr int kPoolSize = 4;
constexpr int kPoolUses = 12;

const char* command_to_enter(ClientState state) {
  switch (state) {
    case ClientState::kIdle:
    case ClientState::kConnecting:
      return "query";
    case ClientState::kInTransaction:
      return "begin";
    case ClientState::kBusy:
      return "hold";
    case ClientState::kCopyOut:
      return "copy_out";
    case ClientState::kCopyIn:
      return "copy_in";
  }
  throw std::logic_error("no such state");
}

// How its backend is seen in pg_stat_activity.
const char* backend_of(ClientState state) {
  switch (state) {
    case ClientState::kIdle:
    case ClientState::kConnecting:
      return "state = 'idle'";
    case ClientState::kInTransaction:
      return "state = 'idle in transaction'";
    case ClientState::kBusy:
      return "wait_event = 'PgSleep'";
    case ClientState::kCopyOut:
      return "wait_event = 'ClientWrite'";
    case ClientState::kCopyIn:
      return "state = 'active' AND wait_event = 'ClientRead'";
  }
  throw std::logic_error("no such state");
}

// What the application does next, in which it learns that its session is gone.
const char* command_to_notice(ClientState state) {
  switch (state) {
    case ClientState::kCopyOut:
    case ClientState::kCopyIn:
      return "finish";
    default:
      return "query";
  }
}

void require_ok(const DriverProcess& process, const nlohmann::json& answer) {
  if (!answer.value("ok", false)) throw std::runtime_error(process.name() + ": " + answer.dump());
}

void await_backend(SqlConnection& connection, const DriverProcess& process, ClientState state) {
  const std::string condition = "application_name = '" + process.name() + "' AND " + backend_of(state);
  const bool seen =
      wait_until([&] { return connection.value("SELECT count(*) FROM pg_stat_activity WHERE " + condition) == "1"; });
  if (!seen) throw std::runtime_error("no backend with " + condition);
}

}  // namespace

Trial::Trial(const std::vector<Driver*>& drivers, Encryption encryption)
    : encryption_(encryption), certificates_(folder_.path()) {
  const ServerOptions servers = server_options(encryption_, certificates_);
  a_ = PostgresServer::primary(folder_, "a", servers);
  a_->query(std::string("CREATE ROLE application LOGIN PASSWORD '") + kPassword +
            "'; CREATE TABLE copied (line text); GRANT ALL ON copied TO application");
  b_ = PostgresServer::standby_of(*a_, "b", servers);
  pgkeel_ = std::make_unique<PgkeelProcess>(folder_, std::vector<PostgresServer*>{a_.get(), b_.get()},
                                            pgkeel_options(encryption_, certificates_));
  start_applications(drivers);
}

void Trial::start_applications(const std::vector<Driver*>& drivers) {
  for (auto* driver : drivers) {
    auto& applications = applications_.emplace_back();
    applications.driver = driver;
    const std::string prefix = std::filesystem::path(driver->folder).filename().string() + "-";
    const auto start = [&](const std::string& suffix, std::uint16_t port) {
      const Encryption from = port == a_->port() ? Encryption::kBothSides : Encryption::kClients;
      return DriverProcess(
          driver->program, folder_.path(), prefix + suffix,
          {"PGHOST=127.0.0.1", "PGPORT=" + std::to_string(port), "PGUSER=application", "PGDATABASE=postgres",
           std::string("PGPASSWORD=") + kPassword, encryption_ >= from ? "PGSSLMODE=require" : "PGSSLMODE=disable"});
    };
    for (const auto state : kClientStates) {
      if (driver->can_be(state)) applications.by_state.emplace(state, start(key_of(state), pgkeel_->port()));
    }
    if (!driver->pool_name.empty()) applications.pool = std::make_unique<DriverProcess>(start("pool", pgkeel_->port()));
    applications.direct = std::make_unique<DriverProcess>(start("direct", a_->port()));
    const auto said = applications.by_state.at(ClientState::kIdle).ask("version");
    driver->version = said.at("version");
  }
}

void Trial::start_pgkeel(const std::string& hold_timeout) {
  std::ifstream old(pgkeel_->config_file());
  const std::string text(std::istreambuf_iterator<char>(old), {});
  std::ofstream(pgkeel_->config_file()) << std::regex_replace(text, std::regex("hold_timeout = \"[^\"]*\""),
                                                              "hold_timeout = \"" + hold_timeout + "\"");
  if (pgkeel_->running()) pgkeel_->terminate();
  pgkeel_->start();
  if (!pgkeel_->wait_for([](const auto& now) { return now["route"].is_null(); }))
    throw std::runtime_error(pgkeel_->describe());
}

std::vector<DriverProcess*> Trial::all_connections() {
  std::vector<DriverProcess*> all;
  for (auto& applications : applications_) {
    for (auto& [state, process] : applications.by_state) all.push_back(&process);
  }
  return all;
}

PostgresServer& Trial::primary() const {
  const auto route = pgkeel_->status()["route"];
  if (route == "a") return *a_;
  if (route == "b") return *b_;
  throw std::runtime_error("no route:\n" + pgkeel_->describe());
}

// A pgkeel without state routes nowhere until it has seen every node.
void Trial::play_connecting() {
  b_->stop();
  start_pgkeel(kShortHold);
  for (auto& applications : applications_) applications.by_state.at(ClientState::kConnecting).tell("connect");
  for (auto& applications : applications_) {
    applications.reports["no route"][ClientState::kConnecting] =
        applications.by_state.at(ClientState::kConnecting).answer();
  }
  start_pgkeel(kLongHold);
  const auto connections = all_connections();
  for (auto* connection : connections) connection->tell("connect");
  if (!pgkeel_->wait_for([&](const auto& now) { return now["sessions"]["held"] == connections.size(); }))
    throw std::runtime_error("not all clients are held:\n" + pgkeel_->describe());
  for (const auto* connection : connections) {
    if (connection->has_answered()) throw std::runtime_error(connection->name() + " is not held");
  }
  b_->start();
  for (auto& applications : applications_) {
    for (auto& [state, process] : applications.by_state) applications.connected_again["held"][state] = process.answer();
    if (applications.pool) require_ok(*applications.pool, applications.pool->ask("pool " + std::to_string(kPoolSize)));
  }
}

void Trial::play_direct() {
  for (auto& applications : applications_) {
    require_ok(*applications.direct, applications.direct->ask("connect"));
    applications.direct->tell("hold");
  }
  SqlConnection connection(a_->conninfo());
  for (auto& applications : applications_) {
    await_backend(connection, *applications.direct, ClientState::kBusy);
    connection.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" +
                     applications.direct->name() + "'");
    applications.direct_report = applications.direct->answer();
    applications.direct.reset();
  }
}

void Trial::enter_states(const PostgresServer& primary) {
  for (auto& applications : applications_) {
    for (auto& [state, process] : applications.by_state) process.tell(command_to_enter(state));
  }
  for (auto& applications : applications_) {
    for (auto& [state, process] : applications.by_state) {
      if (state == ClientState::kBusy) continue;  // answers when it is over
      require_ok(process, process.answer());
    }
  }
  await_states(primary);
}

void Trial::await_states(const PostgresServer& primary) const {
  SqlConnection connection(primary.conninfo());
  for (const auto& applications : applications_) {
    for (const auto& [state, process] : applications.by_state) {
      await_backend(connection, process, state);
    }
  }
}

// The busy ones have their error by themselves. The others are told to go on when the old sessions are closed.
void Trial::collect_reports(const std::string& what) {
  const auto goes_on = [&](ClientState state) { return what == kSwitchover && state == ClientState::kConnecting; };
  for (auto& applications : applications_) {
    for (auto& [state, process] : applications.by_state) {
      if (state != ClientState::kBusy && !goes_on(state)) process.tell(command_to_notice(state));
    }
  }
  for (auto& applications : applications_) {
    for (auto& [state, process] : applications.by_state) {
      if (!goes_on(state)) applications.reports[what][state] = process.answer();
    }
  }
}

void Trial::connect_until(const std::function<bool()>& is_over) {
  for (auto& applications : applications_) applications.connects.emplace();
  while (!is_over()) {
    for (auto& applications : applications_) applications.by_state.at(ClientState::kConnecting).tell("connect");
    for (auto& applications : applications_) {
      const auto answer = applications.by_state.at(ClientState::kConnecting).answer();
      ++applications.connects->made;
      if (!answer.value("ok", false)) applications.connects->failed.push_back(answer);
    }
  }
}

void Trial::connect_again(const std::string& what) {
  for (auto* connection : all_connections()) connection->tell("connect");
  for (auto& applications : applications_) {
    for (auto& [state, process] : applications.by_state) {
      auto answer = process.answer();
      if (answer.value("ok", false)) answer = process.ask("query");
      applications.connected_again[what][state] = answer;
    }
    if (applications.pool) applications.pool->tell("use " + std::to_string(kPoolUses));
  }
  for (auto& applications : applications_) {
    if (applications.pool) applications.pool_uses[what] = applications.pool->answer();
  }
}

void Trial::play(const std::string& what, const std::function<void()>& change_route) {
  if (!pgkeel_->wait_normal()) throw std::runtime_error("not normal before " + what + ":\n" + pgkeel_->describe());
  const auto& old_primary = primary();
  enter_states(old_primary);
  change_route();
  const bool closed =
      pgkeel_->wait_for([&](const auto& now) { return now["route"].is_null() || now["route"] != old_primary.name(); });
  if (!closed) throw std::runtime_error(what + ": the route does not change:\n" + pgkeel_->describe());
  collect_reports(what);
  connect_again(what);
}

void Trial::play_node_down() {
  play("node down", [this] { primary().kill_tree(); });
}

void Trial::play_failover() {
  play("failover", [this] {
    const auto result = pgkeel_->run_verb({"failover", "test", "--yes"});
    if (result.exit_status != 0) throw std::runtime_error("failover: " + result.error_output);
  });
}

void Trial::play_switchover() {
  VerbResult result;
  std::jthread verb;
  play(kSwitchover, [&] {
    const std::string old = primary().name();
    verb = std::jthread([&] { result = pgkeel_->run_verb({"switchover", "test", "--yes"}); });
    connect_until([&] {
      const auto route = pgkeel_->status()["route"];
      return route.is_string() && route != old;
    });
  });
  verb.join();
  if (result.exit_status != 0) throw std::runtime_error("switchover: " + result.error_output);
}

}  // namespace pgkeel::test
