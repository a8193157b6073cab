#include "replication/readiness/collect.h"

#include <arpa/inet.h>
#include <charconv>
#include <exception>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>

#include "proxy/io/blocking_sql.h"
#include "proxy/io/clock.h"
#include "proxy/io/conninfo.h"
#include "replication/agent/host_look.h"
#include "replication/execute/agent_client.h"
#include "replication/readiness/facts_query.h"
#include "replication/readiness/named_files.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLoginLimit = 5s;
constexpr Duration kAnswerLimit = 5s;

Result<std::string> first_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return Error{"cannot read the password file " + path};
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

using Conninfo = std::map<std::string, std::string>;

Result<Conninfo> conninfo_of(const NodeConfig& node, const DatabaseUser& user, const ServerTlsConfig& tls) {
  Conninfo settings = {{"host", node.address.host},
                       {"port", std::to_string(node.address.port)},
                       {"user", user.user},
                       {"dbname", user.database},
                       {"application_name", "pgkeel_readiness"},
                       {"gssencmode", "disable"},
                       {"sslmode", server_tls_mode_name(tls.mode)},
                       {"options", "-c statement_timeout=" + std::to_string(to_milliseconds(kAnswerLimit))}};
  if (!tls.ca.empty()) settings["sslrootcert"] = tls.ca;
  if (user.password_file.empty()) return settings;
  auto password = first_line_of(user.password_file);
  if (!password) return password.error();
  settings["password"] = std::move(*password);
  return settings;
}

std::vector<std::string> numeric_addresses(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (host.starts_with('/') || getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  std::vector<std::string> addresses;
  for (const auto* entry = list; entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      addresses.emplace_back(text);
  }
  return addresses;
}

std::string first_cell(const SqlRows& rows) {
  return rows.rows.empty() || rows.rows.front().empty() ? "" : rows.rows.front().front().value_or("");
}

// How far the server's clock must at least be ahead (negative: behind), as it was read between two moments of ours.
Duration clock_ahead(double server_ms, WallTime asked, WallTime answered) {
  const WallTime server{std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(server_ms))};
  if (server > answered) return server - answered;
  if (server < asked) return server - asked;
  return Duration::zero();
}

class NodeQuestions {
 public:
  NodeQuestions(const ClusterConfig& cluster, const NodeConfig& node, CollectScope scope)
      : cluster_(cluster), node_(node), scope_(scope) {
    facts_.node = node.name;
    facts_.address = node.address;
    facts_.priority = node.priority;
    facts_.local = node.local.has_value();
  }

  NodeReadinessFacts ask() {
    facts_.addresses = numeric_addresses(node_.address.host);
    ask_server();
    if (facts_.server) {
      facts_.replication_login = log_in(true);
      facts_.rewind_login = log_in(false);
    }
    if (node_.local) {
      facts_.host = look_at_host(*node_.local);
      if (facts_.server)
        facts_.server->missing_files = missing_named_files(node_.local->data_directory, facts_.server->settings);
    }
    if (node_.agent) ask_agent();
    return std::move(facts_);
  }

 private:
  void unreachable(const SqlError& error) {
    facts_.unreachable = error.message;
    facts_.unreachable_sqlstate = error.sqlstate;
  }

  void ask_agent() {
    AgentFacts& facts = facts_.agent;
    facts.configured = true;
    facts.asked_at = wall_now();
    const auto connections = std::make_shared<AgentConnections>(*node_.agent);
    facts.own_certificate_ends = connections->certificate_valid_until();
    const auto host = AgentClient(node_.name, node_.address, connections, std::make_shared<AgentSilence>("")).facts();
    if (!host) {
      facts.error = host.error().message;
      return;
    }
    facts.version = host->pgkeel_version;
    facts.certificate_ends = host->certificate_ends;
    facts_.host = host->host;
  }

  void ask_server() {
    const auto conninfo = conninfo_of(node_, cluster_.monitor, cluster_.server_tls);
    if (!conninfo) return unreachable({"", conninfo.error().message});
    auto connection = BlockingSql::connect_within(format_conninfo(*conninfo), kLoginLimit);
    if (!connection) return unreachable(connection.error());
    BlockingSql& sql = *connection;
    // Names in the texts are those of pg_catalog.
    const auto rows =
        sql.run_within("SET search_path = pg_catalog; SET jit = off; " + rights_query_text(), kAnswerLimit);
    if (!rows) return unreachable(rows.error());
    const auto rights = parse_rights(first_cell(*rows));
    if (!rights) return unreachable({"", rights.error().message});
    const WallTime asked = wall_now();
    const auto answer = sql.run_within(facts_query_text(*rights, cluster_), kAnswerLimit);
    const WallTime answered = wall_now();
    if (!answer) return unreachable(answer.error());
    auto server = parse_server_facts(first_cell(*answer));
    if (!server) return unreachable({"", server.error().message});
    if (server->clock_ms) server->clock_ahead = clock_ahead(*server->clock_ms, asked, answered);
    if (rights->stat_files) {
      if (const auto missing = sql.run_within(missing_files_text(), kAnswerLimit)) {
        for (const auto& row : missing->rows) server->missing_files.push_back(row.front().value_or(""));
      }
    }
    if (scope_ == CollectScope::kComplete) {
      if (const auto bytes = sql.run_within(database_bytes_text(), kAnswerLimit))
        server->database_bytes = number_of(first_cell(*bytes));
    }
    facts_.server = std::move(*server);
  }

  static std::optional<std::uint64_t> number_of(const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
  }

  [[nodiscard]] LoginFacts log_in(bool for_replication) const {
    LoginFacts login{.tried = true, .sqlstate = "", .error = ""};
    auto conninfo = conninfo_of(node_, cluster_.replication, cluster_.server_tls);
    if (!conninfo) {
      login.error = conninfo.error().message;
      return login;
    }
    if (for_replication) {
      conninfo->erase("dbname");
      (*conninfo)["replication"] = "true";
    }
    auto connection = BlockingSql::connect_within(format_conninfo(*conninfo), kLoginLimit);
    const auto answer = connection
                            ? connection->run_within(for_replication ? "IDENTIFY_SYSTEM" : "SELECT 1", kAnswerLimit)
                            : Result<SqlRows, SqlError>(connection.error());
    if (answer) return login;
    login.sqlstate = answer.error().sqlstate;
    login.error = answer.error().message;
    return login;
  }

  const ClusterConfig& cluster_;
  const NodeConfig& node_;
  CollectScope scope_;
  NodeReadinessFacts facts_;
};

}  // namespace

std::vector<NodeReadinessFacts> collect_readiness_facts(const ClusterConfig& cluster, CollectScope scope) {
  std::vector<std::future<NodeReadinessFacts>> answers;
  for (const auto& node : cluster.nodes) {
    answers.push_back(
        std::async(std::launch::async, [&cluster, &node, scope] { return NodeQuestions(cluster, node, scope).ask(); }));
  }
  std::vector<NodeReadinessFacts> facts;
  for (auto& answer : answers) facts.push_back(answer.get());
  return facts;
}

}  // namespace pgkeel
