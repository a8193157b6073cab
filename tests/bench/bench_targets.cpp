#include "tests/bench/bench_targets.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <unistd.h>

#include "proxy/io/child_process.h"
#include "tests/support/test_certificates.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

// Where a program is, empty where it is not installed.
std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

std::string first_line_of(const std::vector<std::string>& arguments) {
  const auto output = run_checked({.arguments = arguments, .limit = 10s});
  return output ? output->substr(0, output->find('\n')) : "";
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string port_text(std::uint16_t port) {
  return std::to_string(port);
}

}  // namespace

double BenchTarget::proxy_cpu_seconds() const {
  if (!proxy) return 0;
  // In nanoseconds for each thread: the 10 ms of /proc/PID/stat are too coarse for short runs.
  double nanoseconds = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(*proxy) + "/task")) {
    double ran = 0;
    std::ifstream(thread.path() / "schedstat") >> ran;
    nanoseconds += ran;
  }
  if (nanoseconds == 0) throw std::runtime_error(name + " has ended");
  return nanoseconds / 1e9;
}

double BenchTarget::proxy_memory_bytes() const {
  if (!proxy) return 0;
  std::ifstream file("/proc/" + std::to_string(*proxy) + "/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

BenchTargets::BenchTargets(unsigned connections, const std::vector<PgkeelBeside>& beside,
                           const std::vector<std::string>& only)
    : connections_(connections) {
  const TestCertificates certificates(folder_.path());
  cert_ = certificates.cert;
  key_ = certificates.key;
  // PostgreSQL wants its key to be its own.
  const std::string server_key = folder_.path() + "/server.key";
  const auto copied = run_checked({.arguments = {"install", "-m", "600", "-o", server_user(), key_, server_key},
                                   .limit = std::chrono::seconds(10)});
  if (!copied) throw std::runtime_error(copied.error().message);
  // PgBouncer keeps the server connections of those who have left, while others connect.
  server_ = PostgresServer::primary(
      folder_, "a",
      {.settings = {"fsync = off", "max_connections = " + std::to_string(2 * connections_ + 100),
                    "shared_buffers = 256MB", "ssl = on", "ssl_cert_file = '" + cert_ + "'",
                    "ssl_key_file = '" + server_key + "'", "password_encryption = 'scram-sha-256'"},
       .hba_lines = {"host all scram all scram-sha-256", "local all all trust", "host all all all trust",
                     "host replication all all trust"}});
  server_->query("CREATE ROLE scram LOGIN PASSWORD '" + std::string(kScramPassword) + "'");
  targets_.push_back({.name = "direct",
                      .version = server_->value("SHOW server_version"),
                      .port = server_->port(),
                      .tls = TlsWay::kAsks,
                      .tls_port = server_->port(),
                      .scram_port = server_->port()});
  const auto wanted = [&](const char* name) { return only.empty() || std::ranges::find(only, name) != only.end(); };
  if (wanted("pgkeel")) add_pgkeel({.name = "pgkeel", .program = ""});
  for (const auto& another : beside) add_pgkeel(another);
  if (wanted(kPumpName)) add_pump();
  if (wanted("haproxy")) add_haproxy();
  if (wanted("pgbouncer")) add_pgbouncer();
}

void BenchTargets::add_pgkeel(const PgkeelBeside& what) {
  pgkeel_folders_.push_back(std::make_unique<TemporaryFolder>());
  auto& pgkeel = pgkeels_.emplace_back(std::make_unique<PgkeelProcess>(
      *pgkeel_folders_.back(), std::vector<PostgresServer*>{server_.get()},
      PgkeelOptions{
          .proxy_lines = what.proxy_lines,
          .cluster_lines = {"client_tls = { mode = \"allow\", cert = \"" + cert_ + "\", key = \"" + key_ + "\" }"},
          .log_level = "info",
          .program = what.program}));
  pgkeel->start();
  if (!pgkeel->wait_for([](const auto& now) { return now["route"] == "a"; }))
    throw std::runtime_error(pgkeel->describe());
  targets_.push_back({.name = what.name,
                      .version = "",
                      .port = pgkeel->port(),
                      .proxy = pgkeel->pid(),
                      .tls = TlsWay::kAsks,
                      .tls_port = pgkeel->port(),
                      .scram_port = pgkeel->port()});
}

void BenchTargets::add_pump() {
  const std::uint16_t port = free_port();
  const auto& process = start(kPumpName, {BENCH_PUMP_BINARY, port_text(port), port_text(server_->port())}, port);
  targets_.push_back({.name = kPumpName, .version = "", .port = port, .proxy = process.pid(), .scram_port = port});
}

void BenchTargets::add_haproxy() {
  const std::string program = find_program("haproxy");
  if (program.empty()) return;
  const std::uint16_t port = free_port();
  std::uint16_t tls_port = free_port();
  while (tls_port == port) tls_port = free_port();
  const std::string config = folder_.path() + "/haproxy.cfg";
  const std::string certificate = folder_.path() + "/haproxy.pem";
  write_file(certificate, read_file(cert_) + read_file(key_));
  const std::string server = "  server a 127.0.0.1:" + port_text(server_->port()) + "\n";
  write_file(config,
             "global\n  maxconn 8000\n"
             "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n"
             "listen clear\n  bind 127.0.0.1:" +
                 port_text(port) + "\n" + server + "listen encrypted\n  bind 127.0.0.1:" + port_text(tls_port) +
                 " ssl crt " + certificate + " alpn postgresql\n" + server);
  const auto& process = start("haproxy", {program, "-db", "-f", config}, port);
  targets_.push_back({.name = "haproxy",
                      .version = first_line_of({program, "-v"}),
                      .port = port,
                      .proxy = process.pid(),
                      .tls = TlsWay::kDirect,
                      .tls_port = tls_port,
                      .scram_port = port});
}

void BenchTargets::add_pgbouncer() {
  const std::string program = find_program("pgbouncer");
  if (program.empty()) return;
  // It refuses to run as root.
  const std::string config = folder_.path() + "/pgbouncer.ini";
  const std::string users = folder_.path() + "/pgbouncer.users";
  const std::string key = folder_.path() + "/server.key";
  write_file(users, "\"postgres\" \"\"\n\"scram\" \"" +
                        server_->value("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram'") + "\"\n");
  const std::string hba = folder_.path() + "/pgbouncer.hba";
  write_file(hba, "host all scram 0.0.0.0/0 scram-sha-256\nhost all all 0.0.0.0/0 trust\n");
  std::vector<std::string> arguments;
  if (geteuid() == 0)
    arguments = {find_program("setpriv"), "--reuid=" + server_user(), "--regid=" + server_user(), "--clear-groups",
                 "--pdeathsig=KILL"};
  arguments.insert(arguments.end(), {program, config});
  const std::uint16_t port = free_port();
  write_file(config, "[databases]\npostgres = host=127.0.0.1 port=" + port_text(server_->port()) +
                         " dbname=postgres\n"
                         "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " +
                         port_text(port) + "\nunix_socket_dir =\nauth_type = hba\nauth_hba_file = " + hba +
                         "\nauth_file = " + users +
                         "\npool_mode = session\nserver_reset_query =\n"
                         "client_tls_sslmode = allow\nclient_tls_cert_file = " +
                         cert_ + "\nclient_tls_key_file = " + key + "\nmax_client_conn = 8000\ndefault_pool_size = " +
                         std::to_string(connections_) + "\nlog_connections = 0\nlog_disconnections = 0\n");
  const auto& process = start("pgbouncer", arguments, port);
  targets_.push_back({.name = "pgbouncer",
                      .version = first_line_of({program, "--version"}),
                      .port = port,
                      .proxy = process.pid(),
                      .tls = TlsWay::kAsks,
                      .tls_port = port,
                      .scram_port = port});
}

BackgroundProcess& BenchTargets::start(const std::string& name, const std::vector<std::string>& arguments,
                                       std::uint16_t port) {
  const std::string log = folder_.path() + "/" + name + ".log";
  auto process = BackgroundProcess::start(arguments, log);
  if (!process) throw std::runtime_error(process.error().message);
  const std::string conninfo =
      "host=127.0.0.1 port=" + port_text(port) + " user=postgres dbname=postgres sslmode=disable";
  const bool works = wait_until([&] {
    try {
      return SqlConnection(conninfo).value("SELECT 1") == "1";
    } catch (const SqlError&) {
      return false;
    }
  });
  if (!works) throw std::runtime_error(name + " does not work:\n" + read_file(log));
  others_.push_back(std::make_unique<BackgroundProcess>(std::move(*process)));
  return *others_.back();
}

}  // namespace pgkeel::test
