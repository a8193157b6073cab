#include "tests/bench/workloads.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include <libpq-fe.h>

#include "proxy/io/child_process.h"
#include "proxy/io/clock.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;
using Kind = Workload::Kind;

constexpr int kIdleClients = 5000;
constexpr int kTlsIdleClients = 1000;
constexpr std::size_t kRowBytes = 1001;
constexpr int kCopyOutRows = 1'000'000;
constexpr int kCopyInRows = 300'000;
constexpr int kTlsCopyRows = 300'000;

double seconds_since(Instant began) {
  return std::chrono::duration<double>(monotonic_now() - began).count();
}

std::string copy_out_sql(int rows) {
  return "COPY (SELECT repeat('x', 1000) FROM generate_series(1, " + std::to_string(rows) + ")) TO STDOUT";
}

double number_behind(const std::string& text, const std::string& words) {
  const auto at = text.find(words);
  if (at == std::string::npos) throw std::runtime_error("pgbench did not say \"" + words + "\":\n" + text);
  return std::stod(text.substr(at + words.size()));
}

// The third column of pgbench's log is the latency of a transaction, in microseconds.
std::vector<double> latencies_of(const std::string& folder) {
  std::vector<double> latencies;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    double client = 0;
    double transaction = 0;
    for (double latency = 0; file >> client >> transaction >> latency;) {
      latencies.push_back(latency);
      file.ignore(1000, '\n');
    }
  }
  return latencies;
}

void add_latencies(Figures& figures, std::vector<double> latencies) {
  if (latencies.empty()) throw std::runtime_error("no transaction was done");
  std::ranges::sort(latencies);
  const auto at = [&](std::size_t thousandths) { return latencies[(latencies.size() - 1) * thousandths / 1000]; };
  figures["latency_p50_us"] = at(500);
  figures["latency_p99_us"] = at(990);
  figures["latency_p999_us"] = at(999);
}

Figures run_pgbench(const BenchTargets& targets, const BenchTarget& target, const Workload& workload, int seconds) {
  const std::string logs = targets.folder().path() + "/logs";
  std::filesystem::remove_all(logs);
  std::filesystem::create_directory(logs);
  const bool scram = workload.name.find("scram") != std::string::npos;
  std::vector<std::string> arguments = {bin_directory() + "/pgbench", "--no-vacuum", "--log", "--log-prefix=log",
                                        "--time=" + std::to_string(seconds)};
  arguments.insert(arguments.end(), workload.pgbench.begin(), workload.pgbench.end());
  const double cpu_before = target.proxy_cpu_seconds();
  const auto output = run_checked(
      {.arguments = arguments,
       .limit = std::chrono::seconds(seconds) + 60s,
       .environment = {"PGHOST=127.0.0.1", "PGPORT=" + std::to_string(scram ? target.scram_port : target.port),
                       std::string("PGUSER=") + (scram ? "scram" : "postgres"), "PGDATABASE=postgres",
                       std::string("PGPASSWORD=") + BenchTargets::kScramPassword, "PGSSLMODE=disable", "LC_ALL=C"},
       .working_directory = logs});
  if (!output) throw std::runtime_error(target.name + ": " + output.error().message);
  const double cpu = target.proxy_cpu_seconds() - cpu_before;
  if (output->find("number of failed transactions: 0 ") == std::string::npos)
    throw std::runtime_error(target.name + ": transactions failed:\n" + *output);

  const double transactions = number_behind(*output, "number of transactions actually processed: ");
  Figures figures = {{"tps", number_behind(*output, "\ntps = ")}};
  if (target.proxy) figures["cpu_seconds_per_100000"] = cpu / transactions * 100000;
  if (workload.name.starts_with("connect")) {
    figures["connect_us"] = number_behind(*output, "average connection time = ") * 1000;
    return figures;
  }
  add_latencies(figures, latencies_of(logs));
  return figures;
}

// `bytes` went through in the time since `began`.
Figures copy_figures(const BenchTarget& target, double bytes, Instant began, double cpu_before) {
  Figures figures = {{"megabytes_per_second", bytes / 1e6 / seconds_since(began)}};
  if (target.proxy) figures["cpu_seconds_per_gigabyte"] = (target.proxy_cpu_seconds() - cpu_before) / (bytes / 1e9);
  return figures;
}

Figures run_copy_out(const BenchTarget& target, bool encrypted) {
  BenchConnection connection(encrypted ? target.tls_port : target.port, encrypted ? target.tls : TlsWay::kNone);
  const int rows = encrypted ? kTlsCopyRows : kCopyOutRows;
  const double cpu_before = target.proxy_cpu_seconds();
  const Instant began = monotonic_now();
  const auto bytes = static_cast<double>(connection.query(copy_out_sql(rows)));
  if (bytes < static_cast<double>(kRowBytes) * rows) throw std::runtime_error(target.name + ": COPY ended early");
  return copy_figures(target, bytes, began, cpu_before);
}

Figures run_copy_in(const BenchTarget& target) {
  SqlConnection connection("host=127.0.0.1 user=postgres dbname=postgres sslmode=disable port=" +
                           std::to_string(target.port));
  connection.query("CREATE UNLOGGED TABLE IF NOT EXISTS copy_in (line text); TRUNCATE copy_in");
  std::string rows;
  while (rows.size() < 60 * kRowBytes) rows += std::string(kRowBytes - 1, 'x') + '\n';
  const double cpu_before = target.proxy_cpu_seconds();
  const Instant began = monotonic_now();
  PQclear(PQexec(connection.handle(), "COPY copy_in FROM STDIN"));
  double bytes = 0;
  for (int sent = 0; sent < kCopyInRows; sent += 60, bytes += static_cast<double>(rows.size())) {
    if (PQputCopyData(connection.handle(), rows.data(), static_cast<int>(rows.size())) != 1)
      throw std::runtime_error(target.name + ": " + PQerrorMessage(connection.handle()));
  }
  PQputCopyEnd(connection.handle(), nullptr);
  PGresult* result = PQgetResult(connection.handle());
  const bool done = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  if (!done) throw std::runtime_error(target.name + ": COPY failed: " + PQerrorMessage(connection.handle()));
  return copy_figures(target, bytes, began, cpu_before);
}

Figures run_tls_queries(const BenchTarget& target, int clients, int seconds) {
  std::vector<BenchConnection> connections;
  for (int count = 0; count < clients; ++count) connections.emplace_back(target.tls_port, target.tls);
  std::vector<std::vector<double>> latencies(connections.size());
  std::vector<std::exception_ptr> problems(connections.size());
  const double cpu_before = target.proxy_cpu_seconds();
  const Instant began = monotonic_now();
  const Instant until = began + std::chrono::seconds(seconds);
  {
    std::vector<std::jthread> threads;
    for (std::size_t client = 0; client < connections.size(); ++client) {
      threads.emplace_back([&, client] {
        try {
          for (std::size_t turn = 0; monotonic_now() < until; ++turn) {
            const Instant asked = monotonic_now();
            connections[client].query("SELECT abalance FROM pgbench_accounts WHERE aid = " +
                                      std::to_string(1 + (turn * 7919 + client * 104729) % 1000000));
            latencies[client].push_back(seconds_since(asked) * 1e6);
          }
        } catch (...) {
          problems[client] = std::current_exception();
        }
      });
    }
  }
  const double took = seconds_since(began);
  for (const auto& problem : problems) {
    if (problem) std::rethrow_exception(problem);
  }
  std::vector<double> all;
  for (const auto& of_client : latencies) all.insert(all.end(), of_client.begin(), of_client.end());
  const auto transactions = static_cast<double>(all.size());
  Figures figures = {{"tps", transactions / took}};
  if (target.proxy)
    figures["cpu_seconds_per_100000"] = (target.proxy_cpu_seconds() - cpu_before) / transactions * 100000;
  add_latencies(figures, std::move(all));
  return figures;
}

Figures run_idle(const BenchTarget& target, int clients, bool encrypted) {
  std::vector<BenchConnection> connections;
  // The first ones make the process as big as it is when it works.
  for (int count = 0; count < 50; ++count)
    connections.emplace_back(encrypted ? target.tls_port : target.port, encrypted ? target.tls : TlsWay::kNone);
  for (auto& connection : connections) connection.query("SELECT 1");
  const double before = target.proxy_memory_bytes();
  for (int count = 0; count < clients; ++count) {
    connections.emplace_back(encrypted ? target.tls_port : target.port, encrypted ? target.tls : TlsWay::kNone);
    connections.back().query("SELECT 1");
  }
  return {{"memory_bytes_per_session", (target.proxy_memory_bytes() - before) / clients}};
}

}  // namespace

bool Workload::runs_on(const BenchTarget& target) const {
  if (needs_tls() && target.tls == TlsWay::kNone) return false;
  return !once() || target.proxy;
}

std::vector<Workload> workloads(const std::vector<std::string>& only) {
  std::vector<Workload> all;
  const auto add_pgbench = [&](const std::string& name, int clients, const std::string& option) {
    all.push_back({.name = name + "_" + std::to_string(clients),
                   .clients = clients,
                   .pgbench = {"--select-only", option, "--client=" + std::to_string(clients),
                               "--jobs=" + std::to_string(std::min(clients, 2))}});
  };
  for (const std::string protocol : {"simple", "extended", "prepared"}) {
    for (const int clients : {1, 8, 64}) add_pgbench(protocol, clients, "--protocol=" + protocol);
  }
  for (const int clients : {1, 8, 64})
    all.push_back({.name = "tls_" + std::to_string(clients), .kind = Kind::kTlsQueries, .clients = clients});
  all.push_back({.name = "tls_copy_out", .kind = Kind::kTlsCopyOut});
  all.push_back({.name = "copy_out", .kind = Kind::kCopyOut});
  all.push_back({.name = "copy_in", .kind = Kind::kCopyIn});
  add_pgbench("connect_trust", 8, "--connect");
  add_pgbench("connect_scram", 8, "--connect");
  all.push_back({.name = "idle", .kind = Kind::kIdle, .clients = kIdleClients});
  all.push_back({.name = "idle_tls", .kind = Kind::kTlsIdle, .clients = kTlsIdleClients});
  if (only.empty()) return all;
  std::erase_if(all, [&](const Workload& workload) {
    return std::ranges::none_of(only, [&](const std::string& name) { return workload.name.starts_with(name); });
  });
  return all;
}

Figures run_workload(const BenchTargets& targets, const BenchTarget& target, const Workload& workload, int seconds) {
  switch (workload.kind) {
    case Kind::kPgbench:
      return run_pgbench(targets, target, workload, seconds);
    case Kind::kCopyOut:
      return run_copy_out(target, false);
    case Kind::kTlsCopyOut:
      return run_copy_out(target, true);
    case Kind::kCopyIn:
      return run_copy_in(target);
    case Kind::kTlsQueries:
      return run_tls_queries(target, workload.clients, seconds);
    case Kind::kIdle:
      return run_idle(target, workload.clients, false);
    case Kind::kTlsIdle:
      return run_idle(target, workload.clients, true);
  }
  return {};
}

}  // namespace pgkeel::test
