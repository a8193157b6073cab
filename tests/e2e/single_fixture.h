// One server `a` with pgkeel in front, for tests of what passes through unchanged. Failures throw.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/child_process.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::test {

struct Single {
  explicit Single(ServerOptions options = {}, PgkeelOptions pgkeel_options = {})
      : server(PostgresServer::primary(folder, "a", without_fsync(std::move(options)))),
        pgkeel(folder, {server.get()}, std::move(pgkeel_options)) {
    pgkeel.start();
    if (!pgkeel.wait_for([](const auto& now) { return now["route"] == "a"; }))
      throw std::runtime_error(pgkeel.describe());
  }

  // A program of PostgreSQL's, told by its environment to go through the access point (`direct`: to the server).
  [[nodiscard]] ProgramResult run(std::vector<std::string> arguments, std::uint16_t port,
                                  const std::vector<std::string>& environment = {}) const {
    arguments.front() = bin_directory() + "/" + arguments.front();
    ProgramCall call{.arguments = std::move(arguments), .limit = std::chrono::minutes(4), .environment = {}};
    call.environment = {"PGHOST=127.0.0.1", "PGPORT=" + std::to_string(port), "PGUSER=postgres", "PGDATABASE=postgres",
                        "LC_ALL=C"};
    call.environment.insert(call.environment.end(), environment.begin(), environment.end());
    auto result = run_program(call);
    if (!result) throw std::runtime_error(result.error().message);
    return *result;
  }
  [[nodiscard]] ProgramResult run_through(std::vector<std::string> arguments,
                                          const std::vector<std::string>& environment = {}) const {
    return run(std::move(arguments), pgkeel.port(), environment);
  }

  TemporaryFolder folder;
  std::unique_ptr<PostgresServer> server;
  PgkeelProcess pgkeel;

 private:
  static ServerOptions without_fsync(ServerOptions options) {
    options.settings.emplace_back("fsync = off");
    return options;
  }
};

}  // namespace pgkeel::test
