// A run that uses every secret there is, and then a look at all that pgkeel and its agents write, show and start: none
// of it is in there, at log level debug.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <httplib.h>

#include "proxy/io/detached_process.h"
#include "proxy/io/durable_file.h"
#include "tests/e2e/agent_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/support/sql_connection.h"
#include "tests/support/successor.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
namespace files = std::filesystem;

namespace {

// By what it is: "password of the monitoring role".
using Secrets = std::map<std::string, std::string>;

// Empty where it is gone.
std::string text_of(const files::path& path) {
  const auto text = read_file(path);
  return text ? *text : "";
}

// The arguments of every process of this machine, over and over.
class ArgumentsOfAll {
 public:
  explicit ArgumentsOfAll(const Secrets& secrets) : secrets_(secrets), thread_([this] { look(); }) {}
  ~ArgumentsOfAll() { stop(); }

  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // After stop().
  [[nodiscard]] const std::set<std::string>& found() const { return found_; }
  [[nodiscard]] std::size_t looks() const { return looks_; }

 private:
  void look() {
    for (; !stopping_; ++looks_, std::this_thread::sleep_for(1ms)) {
      std::error_code gone;
      for (files::directory_iterator entry("/proc", gone), end; !gone && entry != end; entry.increment(gone)) {
        const std::string number = entry->path().filename();
        if (number.find_first_not_of("0123456789") != std::string::npos) continue;
        std::string arguments = text_of(entry->path() / "cmdline");
        std::ranges::replace(arguments, '\0', ' ');
        for (const auto& [what, secret] : secrets_) {
          if (arguments.find(secret) != std::string::npos) found_.insert(what + " in: " + arguments);
        }
      }
    }
  }

  const Secrets secrets_;
  std::atomic<bool> stopping_{false};
  std::size_t looks_ = 0;
  std::set<std::string> found_;
  std::thread thread_;
};

// Two servers that ask for passwords, an agent beside each, clients that log in by SCRAM in TLS and by a password in
// clear.
struct SecretCluster {
  SecretCluster() : certificates(folder), tls(folder.path()) {
    servers.push_back(PostgresServer::primary(folder, "a"));
    servers.push_back(PostgresServer::standby_of(*servers[0], "b"));
    auto& a = *servers[0];
    a.query("CREATE ROLE scram LOGIN PASSWORD '" + password_of("scram") + "'; CREATE ROLE clear LOGIN PASSWORD '" +
            password_of("clear") + "'");
    for (const char* role : {"pgkeel", "pgkeel_repl"})
      a.query("ALTER ROLE " + std::string(role) + " PASSWORD '" + password_of(role) + "'");
    REQUIRE(a.wait_caught_up("b"));
    PgkeelOptions options;
    options.cluster_lines = {
        "monitor = { user = \"pgkeel\", database = \"postgres\", password_file = \"" + password_file("pgkeel") + "\" }",
        "replication = { user = \"pgkeel_repl\", password_file = \"" + password_file("pgkeel_repl") + "\" }",
        tls.client_tls("allow")};
    for (const auto& server : servers) {
      std::ofstream(server->data_directory() + "/pg_hba.conf")
          << "host all clear all password\nhost all scram,pgkeel,pgkeel_repl all scram-sha-256\n"
             "host replication pgkeel_repl all scram-sha-256\nhost all all all trust\nlocal all all trust\n";
      server->append_setting("log_statement = 'all'");  // from now on: what is said to a server is looked at, too
      server->query("SELECT pg_reload_conf()");
      auto& agent = agents.emplace_back(std::make_unique<AgentProcess>(folder, *server, certificates));
      agent->start();
      options.agents[server->name()] = agent->access();
    }
    pgkeel = std::make_unique<PgkeelProcess>(folder, std::vector{servers[0].get(), servers[1].get()}, options);
    pgkeel->start();
    if (!pgkeel->wait_normal("a")) throw std::runtime_error("not normal:\n" + pgkeel->describe());
  }

  [[nodiscard]] static std::string password_of(const std::string& role) { return "hush-" + role + "-9Kq3"; }

  [[nodiscard]] std::string password_file(const std::string& role) const {
    const std::string path = folder.path() + "/" + role + ".password";
    std::ofstream(path) << password_of(role) << "\n";
    files::permissions(path, files::perms(0600));
    return path;
  }

  [[nodiscard]] std::string login(const std::string& role, const std::string& password, const std::string& more) const {
    return "host=127.0.0.1 port=" + std::to_string(pgkeel->port()) +
           " dbname=postgres connect_timeout=60 user=" + role + " password=" + password + " " + more;
  }

  // Of the roles as they are now, too: what pg_authid keeps of a password is as good as it is.
  [[nodiscard]] Secrets secrets() const {
    Secrets all;
    for (const char* role : {"pgkeel", "pgkeel_repl", "scram", "clear"}) {
      all["the password of " + std::string(role)] = password_of(role);
      const std::string verifier =
          servers[0]->value("SELECT rolpassword FROM pg_authid WHERE rolname = '" + std::string(role) + "'");
      const auto keys = verifier.rfind('$');
      const auto colon = verifier.find(':', keys);
      REQUIRE(colon != std::string::npos);
      all["the stored key of " + std::string(role)] = verifier.substr(keys + 1, colon - keys - 1);
      all["the server key of " + std::string(role)] = verifier.substr(colon + 1);
    }
    std::string token = text_of(folder.path() + "/token");
    token.erase(token.find_last_not_of('\n') + 1);
    REQUIRE(token.size() >= 32);
    all["the admin token"] = token;
    for (const auto& key : {certificates.proxy().key, certificates.agent("127.0.0.1").key, tls.key}) {
      std::ifstream lines(key);
      std::string line;
      std::getline(lines, line);
      std::getline(lines, line);  // the first of the key itself
      REQUIRE(line.size() > 20);
      all["the private key " + key] = line.substr(line.size() - 20);
    }
    return all;
  }

  TemporaryFolder folder;
  Certificates certificates;
  TestCertificates tls;
  std::vector<std::unique_ptr<PostgresServer>> servers;
  std::vector<std::unique_ptr<AgentProcess>> agents;
  std::unique_ptr<PgkeelProcess> pgkeel;
};

// Where a secret may be: in the files that were made for it, which nobody else can read.
bool is_its_place(const files::path& path, const std::string& folder) {
  const std::string extension = path.extension();
  const bool is_meant = extension == ".password" || extension == ".key" || path == folder + "/token" ||
                        path.filename().string().find("pgpass") != std::string::npos;
  if (!is_meant) return false;
  constexpr auto kOthers = files::perms::group_all | files::perms::others_all;
  CHECK_MESSAGE((files::status(path).permissions() & kOthers) == files::perms::none, path.string());
  return true;
}

// All files but those of the servers' own storage.
std::map<std::string, std::string> texts_below(const std::string& folder) {
  std::map<std::string, std::string> texts;
  auto entries = files::recursive_directory_iterator(folder);
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename();
    const bool is_storage = name == "base" || name == "global" || name.starts_with("pg_");
    if (entry.is_directory() && is_storage) entries.disable_recursion_pending();
    if (entry.is_regular_file() && !is_its_place(entry.path(), folder)) texts[entry.path()] = text_of(entry.path());
  }
  return texts;
}

}  // namespace

TEST_CASE("no secret is in a log, a file of state, an answer, or the arguments of a process, whatever was done") {
  SecretCluster cluster;
  PgkeelProcess& pgkeel = *cluster.pgkeel;
  const Secrets secrets = cluster.secrets();
  const std::string wrong = "hush-wrong-9Kq3";
  const std::string changed = "hush-changed-9Kq3";
  ArgumentsOfAll arguments(secrets);
  std::map<std::string, std::string> shown;
  const auto verb = [&](std::vector<std::string> words) {
    std::string name;
    for (const auto& word : words) name += word + " ";
    const VerbResult result = pgkeel.run_verb(std::move(words));
    shown[name] += result.output + result.error_output;
    return result.exit_status;
  };
  const auto logs_in = [&](const std::string& role, const std::string& password, const std::string& more) {
    try {
      return SqlConnection(cluster.login(role, password, more)).value("SELECT 1") == "1";
    } catch (const SqlError& error) {
      shown["a refused login of " + role] += error.what();
      return false;
    }
  };
  const auto use_them_all = [&] {
    CHECK(logs_in("scram", SecretCluster::password_of("scram"), "sslmode=require channel_binding=require"));
    CHECK(logs_in("scram", SecretCluster::password_of("scram"), "sslmode=disable"));
    CHECK(logs_in("clear", SecretCluster::password_of("clear"), "sslmode=require"));
    CHECK(logs_in("clear", SecretCluster::password_of("clear"), "sslmode=disable"));
    for (const char* role : {"scram", "clear"}) {
      for (const char* mode : {"sslmode=require", "sslmode=disable"}) CHECK_FALSE(logs_in(role, wrong, mode));
    }
  };
  use_them_all();
  SqlConnection(pgkeel.conninfo()).query("CREATE ROLE changed LOGIN PASSWORD '" + changed + "'");

  // The replication password goes to an agent, and into what a standby connects with.
  CHECK(verb({"rejoin", "test", "b", "--rebuild", "--yes"}) == 0);
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  CHECK(verb({"switchover", "test", "--to", "b", "--yes"}) == 0);
  REQUIRE_MESSAGE(pgkeel.wait_normal("b"), pgkeel.describe());
  cluster.servers[1]->kill_tree();
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  use_them_all();

  // What is wrong with a secret is told without it.
  const ConfigFile file(pgkeel);
  std::ofstream(cluster.folder.path() + "/pgkeel.password") << wrong << "\n";
  CHECK(verb({"reload"}) == 0);
  CHECK(verb({"check", "--live"}) == 1);
  CHECK(verb({"check", "--live", "--json"}) == 1);
  std::ofstream(cluster.folder.path() + "/pgkeel.password") << SecretCluster::password_of("pgkeel") << "\n";
  file.write(file.with_instead("/pgkeel_repl.password", "/token"));
  CHECK(verb({"reload", "--json"}) == 0);
  file.write(file.original());
  CHECK(verb({"reload"}) == 0);
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  httplib::Client client("127.0.0.1", pgkeel.admin_port());
  for (const auto& token : {wrong + wrong, secrets.at("the admin token")}) {
    const auto answer = client.Post("/api/v1/clusters/test/failover", {{"Authorization", "Bearer " + token}},
                                    "{\"to\": \"a\"}", "application/json");
    REQUIRE(answer);
    shown["an order over HTTP"] += answer->body;
  }

  for (const auto& words : std::vector<std::vector<std::string>>{{"status"},
                                                                 {"status", "--json"},
                                                                 {"events"},
                                                                 {"events", "--json"},
                                                                 {"decisions", "test"},
                                                                 {"decisions", "test", "--json"},
                                                                 {"check", "--live"},
                                                                 {"check", "--live", "--json"},
                                                                 {"lost", "test"},
                                                                 {"lost", "test", "--json"},
                                                                 {"reload", "--dry-run"}})
    verb(words);
  for (const char* path : {"/metrics", "/api/v1/clusters", "/api/v1/events", "/api/v1/clusters/test/decisions",
                           "/api/v1/process", "/", "/readyz", "/primary"})
    shown[path] += client.Get(path)->body;
  CHECK(verb({"restart"}) == 0);
  const auto successor = open_process(process_of(pgkeel).value("pid", 0));
  CHECK(wait_until([&] { return !pgkeel.running(); }));
  use_them_all();
  arguments.stop();
  if (successor) kill_process(*successor);

  CHECK(arguments.looks() > 10);
  for (const auto& found : arguments.found()) FAIL_CHECK(found);
  auto texts = texts_below(cluster.folder.path());
  CHECK(texts.size() > 20);
  texts.merge(shown);
  std::size_t bytes = 0;
  for (const auto& [where, text] : texts) {
    bytes += text.size();
    for (const auto& [what, secret] : secrets)
      CHECK_MESSAGE(text.find(secret) == std::string::npos, what << " is in " << where);
    CHECK_MESSAGE(text.find(wrong) == std::string::npos, "a wrong password or token is in " << where);
    // A server that logs statements logs this one.
    const bool is_server_log = where == cluster.folder.path() + "/a.log" || where == cluster.folder.path() + "/b.log";
    if (!is_server_log)
      CHECK_MESSAGE(text.find(changed) == std::string::npos, "a statement's password is in " << where);
  }
  MESSAGE(texts.size() << " files and answers, " << bytes << " bytes, " << arguments.looks()
                       << " looks at all arguments");
}
