#include "proxy/cli/demo_servers.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sys/random.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "config/parse.h"
#include "proxy/cli/admin_client.h"
#include "proxy/io/blocking_sql.h"
#include "proxy/io/child_process.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/os_user.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr Duration kProgramLimit = 2min;

// 0 where the text begins with no number.
int parse_leading_number(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Result<std::string> find_bin_directory() {
  std::vector<fs::path> found;
  std::error_code problem;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", problem)) {
    if (fs::exists(version.path() / "bin/initdb")) found.push_back(version.path() / "bin");
  }
  if (found.empty())
    return Error{"no PostgreSQL server is installed under /usr/lib/postgresql; run deploy/install-deps"};
  const auto version_of = [](const fs::path& bin) {
    return parse_leading_number(bin.parent_path().filename().string());
  };
  return std::ranges::max(found, {}, version_of).string();
}

// PostgreSQL refuses root: then another user's rights are taken.
Result<std::string> find_server_user() {
  if (::geteuid() != 0) return std::string();
  for (const char* name : {"postgres", "nobody"}) {
    if (find_os_user(name)) return std::string(name);
  }
  return Error{"running as root, and there is no user postgres or nobody whose rights PostgreSQL could run with"};
}

std::string random_password() {
  std::array<unsigned char, 12> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) std::abort();
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

// Below the range from which the kernel takes ports for outgoing connections, so that it stays free while its server is
// down.
std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::uint16_t port = 0;
  for (int attempt = 0; attempt < 1000 && port == 0; ++attempt) {
    std::uint16_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) break;
    const auto candidate = static_cast<std::uint16_t>(15000 + random % 15000);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(candidate);
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) port = candidate;
  }
  ::close(descriptor);
  return port;
}

Result<void> append_to(const std::string& file, const std::string& text) {
  std::ofstream stream(file, std::ios::app);
  stream << text;
  stream.close();
  if (!stream) return Error{file + " cannot be written"};
  return {};
}

template <class Condition>
bool wait_until(Condition condition, Duration limit) {
  constexpr auto kPause = 10ms;
  for (Duration waited{}; waited < limit; waited += kPause) {
    if (condition()) return true;
    std::this_thread::sleep_for(kPause);
  }
  return condition();
}

}  // namespace

Result<std::unique_ptr<DemoServers>> DemoServers::start(std::uint16_t access_point_port) {
  std::unique_ptr<DemoServers> servers(new DemoServers());
  const auto bin = find_bin_directory();
  if (!bin) return bin.error();
  const auto user = find_server_user();
  if (!user) return user.error();
  servers->bin_directory_ = *bin;
  servers->os_user_ = *user;
  servers->password_ = random_password();
  servers->primary_port_ = free_port();
  do servers->standby_port_ = free_port();
  while (servers->standby_port_ == servers->primary_port_);
  if (const auto made = servers->make_folder(); !made) return made.error();
  if (const auto made = servers->make_primary(); !made) return made.error();
  if (const auto made = servers->make_standby(); !made) return made.error();
  if (const auto started = servers->start_pgkeel(access_point_port); !started) return started.error();
  return servers;
}

DemoServers::~DemoServers() {
  if (pgkeel_) pgkeel_->end(10s);
  if (folder_.empty()) return;
  for (const char* node : {"a", "b"}) {
    if (!fs::exists(path(node))) continue;
    if (const auto fenced = server(node).fence(10s); !fenced)
      std::fputs((fenced.error().message + "\n").c_str(), stderr);
  }
  std::error_code problem;
  fs::remove_all(folder_, problem);
  if (problem) std::fputs((folder_ + " cannot be removed: " + problem.message() + "\n").c_str(), stderr);
}

Result<void> DemoServers::make_folder() {
  const char* parent = std::getenv("TMPDIR");
  std::string pattern = std::string(parent != nullptr ? parent : "/tmp") + "/pgkeel-demo-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return Error{pattern + " cannot be made: " + std::strerror(errno)};
  folder_ = pattern;
  if (os_user_.empty()) return {};
  const auto user = find_os_user(os_user_);
  if (!user) return user.error();
  if (::chown(folder_.c_str(), user->uid, user->gid) != 0) return Error{folder_ + ": " + std::strerror(errno)};
  return {};
}

Result<void> DemoServers::run_as_server_user(std::vector<std::string> arguments) const {
  ProgramCall call;
  call.arguments = std::move(arguments);
  call.arguments.front() = bin_directory_ + "/" + call.arguments.front();
  call.limit = kProgramLimit;
  call.os_user = os_user_;
  call.environment = {"PGPASSWORD=" + password_, "LC_ALL=C"};
  if (const auto output = run_checked(call); !output) return output.error();
  return {};
}

Result<void> DemoServers::write_secret(const std::string& file, const std::string& content) const {
  const auto user = find_os_user(os_user_);
  if (!user) return user.error();
  return write_durably(file, content, 0600, FileOwner{user->uid, user->gid});
}

LocalServer DemoServers::server(const std::string& node) const {
  return LocalServer(node, {"127.0.0.1", port_of(node)},
                     {.data_directory = path(node), .bin_directory = bin_directory_, .os_user = os_user_});
}

std::uint16_t DemoServers::port_of(const std::string& node) const {
  return node == "a" ? primary_port_ : standby_port_;
}

Result<void> DemoServers::make_primary() {
  const std::string password_file = path("password");
  if (const auto written = write_secret(password_file, password_ + "\n"); !written) return written;
  if (auto made =
          run_as_server_user({"initdb", "--pgdata", path("a"), "--username", "postgres", "--auth", "scram-sha-256",
                              "--pwfile", password_file, "--encoding", "UTF8", "--locale", "C"});
      !made) {
    return made;
  }
  const std::string settings = fmt::format(
      "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nshared_buffers = "
      "32MB\nmax_connections = 100\n"
      "wal_log_hints = on\nrestart_after_crash = off\nlog_min_messages = warning\n",
      primary_port_, folder_);
  if (const auto written = append_to(path("a/postgresql.conf"), settings); !written) return written;
  return server("a").start(1min);
}

Result<void> DemoServers::make_standby() {
  const std::string passfile = path("pgpass");
  if (const auto written = write_secret(passfile, "*:*:*:*:" + password_ + "\n"); !written) return written;
  const std::string source =
      fmt::format("host=127.0.0.1 port={} user=postgres passfile={} application_name=b", primary_port_, passfile);
  if (auto made =
          run_as_server_user({"pg_basebackup", "--pgdata", path("b"), "--dbname", source, "--wal-method", "stream",
                              "--checkpoint", "fast", "--create-slot", "--slot", "pgkeel_b", "--write-recovery-conf"});
      !made) {
    return made;
  }
  if (const auto written = append_to(path("b/postgresql.conf"), fmt::format("port = {}\n", standby_port_)); !written)
    return written;
  return server("b").start(1min);
}

Result<void> DemoServers::start_pgkeel(std::uint16_t access_point_port) {
  config_file_ = path("pgkeel.toml");
  const auto node = [&](const char* name) {
    return fmt::format(
        "[[cluster.demo.node]]\nname = \"{0}\"\nhost = \"127.0.0.1\"\nport = {1}\n"
        "local = {{ data_directory = \"{2}\", bin_directory = \"{3}\", os_user = \"{4}\" }}\n\n",
        name, port_of(name), path(name), bin_directory_, os_user_);
  };
  const std::string text =
      fmt::format(
          "[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{0}/admin.token\"\n\n[state]\ndirectory = "
          "\"{0}/state\"\n\n"
          "[cluster.demo]\nlisten = \"127.0.0.1:{1}\"\nfailover_pause = \"0s\"\n"
          "monitor = {{ user = \"postgres\", database = \"postgres\", password_file = \"{0}/password\" }}\n"
          "replication = {{ user = \"postgres\", password_file = \"{0}/password\" }}\n\n",
          folder_, access_point_port) +
      node("a") + node("b");
  if (const auto written = append_to(config_file_, text); !written) return written;
  auto config = load_config(config_file_);
  if (!config) return Error{format_problems(config.error())};
  config_ = std::move(*config);
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  auto process = BackgroundProcess::start({self, "serve", "--config", config_file_}, path("pgkeel.log"));
  if (!process) return process.error();
  pgkeel_.emplace(std::move(*process));

  std::string last_answer;
  const bool normal = wait_until(
      [&] {
        const auto answer = ask_admin(config_, "/api/v1/clusters/demo");
        last_answer = answer ? *answer : answer.error().message;
        return !pgkeel_->running() || last_answer.find("\"condition\": \"normal\"") != std::string::npos;
      },
      30s);
  if (!normal || !pgkeel_->running()) {
    std::ifstream log(path("pgkeel.log"));
    return Error{"pgkeel did not find the cluster normal: " + last_answer + "\n" +
                 std::string(std::istreambuf_iterator<char>(log), {})};
  }
  constexpr std::string_view kKey = "\"access_point\": \"127.0.0.1:";
  const auto port = last_answer.find(kKey);
  if (port == std::string::npos) return Error{"pgkeel does not tell its access point: " + last_answer};
  access_point_port_ =
      static_cast<std::uint16_t>(parse_leading_number(std::string_view(last_answer).substr(port + kKey.size())));
  return {};
}

std::string DemoServers::conninfo(const std::string& application_name) const {
  return fmt::format(
      "host=127.0.0.1 port={} user=postgres dbname=postgres password={} application_name={} connect_timeout=30",
      access_point_port_, password_, application_name);
}

std::string DemoServers::server_version() const {
  auto primary = BlockingSql::connect(direct_conninfo("a"));
  if (!primary) return "of an unknown version";
  const auto version = primary->run("SHOW server_version");
  return version && !version->rows.empty() ? version->rows.front().front().value_or("") : "of an unknown version";
}

std::string DemoServers::direct_conninfo(const std::string& node) const {
  return fmt::format("host=127.0.0.1 port={} user=postgres dbname=postgres password={} connect_timeout=10",
                     port_of(node), password_);
}

DemoServers::Kill DemoServers::kill_primary_tree() const {
  const LocalServerState state = server("a").look();
  std::vector<pid_t> pids(state.other_pids.begin(), state.other_pids.end());
  if (state.postmaster_pid) pids.insert(pids.begin(), *state.postmaster_pid);
  const Kill kill{pids.size(), clocks_now()};
  for (const pid_t pid : pids) ::kill(pid, SIGKILL);
  return kill;
}

}  // namespace pgkeel
