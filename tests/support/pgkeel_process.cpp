#include "tests/support/pgkeel_process.h"

#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

#include <httplib.h>

#include "proxy/io/descriptor.h"
#include "tests/support/described_answers.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

std::string lines_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

bool mentions(const std::vector<std::string>& lines, const std::string& key) {
  for (const auto& line : lines) {
    if (line.starts_with(key)) return true;
  }
  return false;
}

std::string cluster_text(const std::string& name, std::uint16_t port, const std::vector<PostgresServer*>& nodes,
                         const PgkeelOptions& options) {
  std::string text = "[cluster." + name + "]\nlisten = \"" + options.address + ":" + std::to_string(port) + "\"\n";
  if (!mentions(options.cluster_lines, "failover_pause")) text += "failover_pause = \"0s\"\n";
  if (!mentions(options.cluster_lines, "monitor")) text += "monitor = { user = \"pgkeel\", database = \"postgres\" }\n";
  text += lines_of(options.cluster_lines);
  text += "[cluster." + name + ".detection]\n" + lines_of(options.detection_lines);
  for (const auto* node : nodes) {
    text += "[[cluster." + name + ".node]]\nname = \"" + node->name() + "\"\nhost = \"" + node->address() +
            "\"\nport = " + std::to_string(node->port()) + "\n";
    if (const auto agent = options.agents.find(node->name()); agent != options.agents.end()) {
      const auto& access = agent->second;
      text += "agent = { url = \"" + access.url + "\", ca = \"" + access.tls.ca + "\", cert = \"" + access.tls.cert +
              "\", key = \"" + access.tls.key + "\" }\n";
      continue;
    }
    if (!options.local_nodes) continue;
    const LocalServerConfig local = node->local();
    text += "local = { data_directory = \"" + local.data_directory + "\", bin_directory = \"" + local.bin_directory +
            "\", os_user = \"" + local.os_user + "\" }\n";
  }
  return text;
}

// Whatever a test asks for is described, too. The description is that of the process that was asked first.
void hold(std::uint16_t port, const std::string& path, const httplib::Response& answer) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  static std::optional<DescribedAnswers> described;
  if (!described) {
    const auto document = httplib::Client("127.0.0.1", port).Get("/api/v1/openapi.json");
    if (!document || document->status != 200) return;
    described.emplace(document->body);
  }
  const auto differences = described->differences({.method = "GET",
                                                   .path = path,
                                                   .status = answer.status,
                                                   .content_type = answer.get_header_value("Content-Type"),
                                                   .body = answer.body});
  if (!differences.empty()) throw std::runtime_error("not as openapi.json says: " + differences.front());
}

// The body of an answer that is as described; nothing where there is none.
std::optional<std::string> get_described(std::uint16_t port, const std::string& path) {
  httplib::Client client("127.0.0.1", port);
  client.set_connection_timeout(1);
  const auto answer = client.Get(path);
  if (!answer) return std::nullopt;
  hold(port, path, *answer);
  return answer->status == 200 ? std::optional(answer->body) : std::nullopt;
}

}  // namespace

PgkeelProcess::PgkeelProcess(const TemporaryFolder& folder, const std::vector<PostgresServer*>& nodes,
                             PgkeelOptions options)
    : program_(options.program.empty() ? PGKEEL_BINARY : options.program),
      config_file_(folder.path() + "/pgkeel.toml"),
      state_directory_(options.state_directory.empty() ? folder.path() + "/state" : options.state_directory),
      log_file_(folder.path() + "/pgkeel.log"),
      address_(options.address),
      descriptor_limit_(options.descriptor_limit),
      admin_port_(free_port()) {
  std::string text = "[proxy]\n" + lines_of(options.proxy_lines);
  text += "[admin]\nlisten = \"127.0.0.1:" + std::to_string(admin_port_) + "\"\ntoken_file = \"" + folder.path() +
          "/token\"\n";
  text += "[state]\ndirectory = \"" + state_directory_ + "\"\n";
  if (!options.coordination_lines.empty()) text += "[coordination]\n" + lines_of(options.coordination_lines);
  text += "[log]\nlevel = \"" + options.log_level + "\"\n";
  std::set<std::uint16_t> taken = {admin_port_};
  const auto add_cluster = [&](const std::string& name, const std::vector<PostgresServer*>& servers) {
    std::uint16_t port = name == "test" && options.port != 0 ? options.port : free_port();
    while (!taken.insert(port).second) port = free_port();
    ports_[name] = port;
    text += cluster_text(name, port, servers, options);
  };
  add_cluster("test", nodes);
  for (const auto& [name, servers] : options.more_clusters) add_cluster(name, servers);
  std::ofstream(config_file_) << text;
}

void PgkeelProcess::start(const std::vector<std::string>& more_arguments) {
  std::vector<std::string> arguments = {program_, "serve", "--config", config_file_};
  if (descriptor_limit_ > 0) {
    const std::string limited = "ulimit -n " + std::to_string(descriptor_limit_) + " && exec \"$0\" \"$@\"";
    arguments.insert(arguments.begin(), {"/bin/sh", "-c", limited});
  }
  arguments.insert(arguments.end(), more_arguments.begin(), more_arguments.end());
  run(arguments);
}

void PgkeelProcess::start_with(const std::vector<NamedSocket>& sockets) {
  constexpr int kFirstPassed = 3;
  constexpr int kOutOfTheWay = 100;
  std::string names;
  std::string places;
  std::vector<Descriptor> copies;  // that a program inherits
  for (const auto& [name, socket] : sockets) {
    const int copy = ::fcntl(socket.descriptor(), F_DUPFD, kOutOfTheWay);
    if (copy < 0) throw std::runtime_error("a socket cannot be passed on");
    const std::string number = std::to_string(copy);
    places +=
        " " + std::to_string(kFirstPassed + static_cast<int>(copies.size())) + "<&" + number + " " + number + "<&-";
    names += (names.empty() ? "" : ":") + name;
    copies.emplace_back(copy);
  }
  run({"/bin/bash", "-c",
       "LISTEN_PID=$$ LISTEN_FDS=" + std::to_string(sockets.size()) + " LISTEN_FDNAMES=" + names +
           " exec \"$0\" \"$@\"" + places,
       program_, "serve", "--config", config_file_});
}

void PgkeelProcess::run(const std::vector<std::string>& arguments) {
  auto process = BackgroundProcess::start(arguments, log_file_);
  if (!process) throw std::runtime_error(process.error().message);
  process_.reset();
  process_.emplace(std::move(*process));
}

void PgkeelProcess::kill() {
  ::kill(process_->pid(), SIGKILL);
  process_->end(10s);
}

void PgkeelProcess::terminate() {
  process_->end(20s);
}

void PgkeelProcess::follow_by(BackgroundProcess successor) {
  if (!wait_until([this] { return !running(); })) throw std::runtime_error("pgkeel does not end after it was followed");
  process_.emplace(std::move(successor));
}

Json PgkeelProcess::status(const std::string& cluster) const {
  const auto body = get_described(admin_port_, "/api/v1/clusters/" + cluster);
  return body ? Json::parse(*body, nullptr, false) : Json();
}

Json PgkeelProcess::events() const {
  const auto body = get_described(admin_port_, "/api/v1/events");
  return body ? Json::parse(*body, nullptr, false).value("events", Json::array()) : Json::array();
}

std::string PgkeelProcess::metrics() const {
  httplib::Client client("127.0.0.1", admin_port_);
  const auto answer = client.Get("/metrics");
  return answer && answer->status == 200 ? answer->body : "";
}

bool PgkeelProcess::wait_for(const std::function<bool(const Json&)>& condition, Duration limit) const {
  return wait_until(
      [&] {
        const Json now = status();
        return now.is_object() && condition(now);
      },
      limit);
}

bool PgkeelProcess::wait_normal(const std::string& primary, Duration limit) const {
  return wait_for(
      [&](const Json& now) { return now["condition"] == "normal" && (primary.empty() || now["route"] == primary); },
      limit);
}

std::string PgkeelProcess::describe() const {
  std::string log = log_text();
  constexpr std::size_t kLogTail = 6000;
  if (log.size() > kLogTail) log = log.substr(log.size() - kLogTail);
  return status().dump(2) + "\n" + log;
}

std::string PgkeelProcess::conninfo(const std::string& more) const {
  return "host=" + address_ + " port=" + std::to_string(port()) + " user=postgres dbname=postgres connect_timeout=60 " +
         more;
}

std::string PgkeelProcess::log_text() const {
  std::ifstream file(log_file_);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<nlohmann::json> PgkeelProcess::decisions(const std::string& kind) const {
  const auto verb = run_verb({"decisions", "test", "--json"});
  if (verb.exit_status != 0) throw std::runtime_error("pgkeel decisions: " + verb.error_output);
  std::vector<nlohmann::json> records;
  std::istringstream lines(verb.output);
  for (std::string line; std::getline(lines, line);) {
    auto record = nlohmann::json::parse(line);
    if (record["kind"] == kind) records.push_back(std::move(record));
  }
  return records;
}

VerbResult PgkeelProcess::run_verb(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"--config", config_file_});
  return run_pgkeel(arguments);
}

}  // namespace pgkeel::test
