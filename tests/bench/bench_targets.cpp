#include "tests/bench/bench_targets.h"

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

#include "proxy/io/child_process.h"
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

}  // namespace

double BenchTarget::proxy_cpu_seconds() const {
  if (!proxy) return 0;
  std::ifstream file("/proc/" + std::to_string(*proxy) + "/stat");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.find(')') == std::string::npos) throw std::runtime_error(name + " has ended");
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

BenchTargets::BenchTargets() {
  const ServerOptions options{.settings = {"fsync = off", "max_connections = 200", "shared_buffers = 256MB"}};
  server_ = PostgresServer::primary(folder_, "a", options);
  targets_.push_back({"direct", server_->value("SHOW server_version"), server_->port(), std::nullopt});

  pgkeel_ = std::make_unique<PgkeelProcess>(folder_, std::vector<PostgresServer*>{server_.get()},
                                            PgkeelOptions{.log_level = "info"});
  pgkeel_->start();
  if (!pgkeel_->wait_for([](const auto& now) { return now["route"] == "a"; }))
    throw std::runtime_error(pgkeel_->describe());
  targets_.push_back({"pgkeel", "", pgkeel_->port(), pgkeel_->pid()});
  add_haproxy();
  add_pgbouncer();
}

void BenchTargets::add_haproxy() {
  const std::string program = find_program("haproxy");
  if (program.empty()) return;
  const std::uint16_t port = free_port();
  const std::string config = folder_.path() + "/haproxy.cfg";
  write_file(config,
             "global\n  maxconn 2000\n"
             "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n"
             "listen bench\n  bind 127.0.0.1:" +
                 std::to_string(port) + "\n  server a 127.0.0.1:" + std::to_string(server_->port()) + "\n");
  add_proxy("haproxy", first_line_of({program, "-v"}), port, {program, "-db", "-f", config});
}

void BenchTargets::add_pgbouncer() {
  const std::string program = find_program("pgbouncer");
  if (program.empty()) return;
  const std::uint16_t port = free_port();
  const std::string config = folder_.path() + "/pgbouncer.ini";
  write_file(config, "[databases]\npostgres = host=127.0.0.1 port=" + std::to_string(server_->port()) +
                         " dbname=postgres user=postgres\n"
                         "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " +
                         std::to_string(port) +
                         "\nunix_socket_dir =\nauth_type = any\npool_mode = session\nserver_reset_query =\n"
                         "max_client_conn = 1000\ndefault_pool_size = 150\n"
                         "log_connections = 0\nlog_disconnections = 0\n");
  // It refuses to run as root.
  std::vector<std::string> arguments;
  if (geteuid() == 0)
    arguments = {find_program("setpriv"), "--reuid=" + server_user(), "--regid=" + server_user(), "--clear-groups",
                 "--pdeathsig=KILL"};
  arguments.insert(arguments.end(), {program, config});
  add_proxy("pgbouncer", first_line_of({program, "--version"}), port, arguments);
}

void BenchTargets::add_proxy(const std::string& name, const std::string& version, std::uint16_t port,
                             const std::vector<std::string>& arguments) {
  auto process = BackgroundProcess::start(arguments, folder_.path() + "/" + name + ".log");
  if (!process) throw std::runtime_error(process.error().message);
  const std::string conninfo = "host=127.0.0.1 port=" + std::to_string(port) + " user=postgres dbname=postgres";
  const bool works = wait_until([&] {
    try {
      return SqlConnection(conninfo).value("SELECT 1") == "1";
    } catch (const SqlError&) {
      return false;
    }
  });
  if (!works) throw std::runtime_error(name + " does not work: see its log in " + folder_.path());
  targets_.push_back({name, version, port, process->pid()});
  others_.push_back(std::move(*process));
}

}  // namespace pgkeel::test
