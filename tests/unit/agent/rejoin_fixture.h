// What tests of rejoins need beside two servers: programs that fail, processes that are killed, and the proof that
// nothing was lost. One thread.
#pragma once

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/io/child_process.h"
#include "tests/unit/agent/agent_fixture.h"

namespace pgkeel::test {

// The programs of PostgreSQL, but for one that is a script of ours.
inline std::string programs_with(const TemporaryFolder& folder, const std::string& name, const std::string& script) {
  const auto programs = folder.path() + "/programs";
  std::filesystem::remove_all(programs);
  std::filesystem::create_directory(programs);
  for (const auto& entry : std::filesystem::directory_iterator(bin_directory())) {
    const auto program = entry.path().filename().string();
    if (program != name) std::filesystem::create_symlink(entry.path(), programs + "/" + program);
  }
  std::ofstream(programs + "/" + name) << "#!/bin/sh\n" << script << "\n";
  std::filesystem::permissions(programs + "/" + name, std::filesystem::perms(0755));
  return programs;
}

inline LocalServer with_programs(const PostgresServer& server, const std::string& programs) {
  auto settings = server.local();
  settings.bin_directory = programs;
  return {server.name(), {"127.0.0.1", server.port()}, settings};
}

// A fingerprint of a data directory, without the lock file, which any start would replace.
inline std::string content_of(const std::string& data_directory) {
  const auto sums = run_program({.arguments = {"sh", "-c",
                                               "cd \"$0\" && find . -type f ! -name postmaster.pid -exec md5sum {} + | "
                                               "sort -k 2 | md5sum",
                                               data_directory},
                                 .limit = 60s});
  return sums->output;
}

// Runs a rejoin in a process of its own, and kills that once `reached` exists.
inline void rejoin_and_kill(const LocalServer& server, const UpstreamServer& upstream, const std::string& reached,
                            const RejoinOptions& options = {}) {
  const pid_t child = fork();
  if (child == 0) {
    (void)server.rejoin(
        upstream, [](const std::string&) {}, options);
    _exit(0);
  }
  CHECK(wait_until([&] { return std::filesystem::exists(reached); }));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

// Asks a stopped copy of a data directory, which recovers for that.
inline std::string ask_copy(const std::string& data_directory, const std::string& sql) {
  const auto answer =
      run_program({.arguments = {bin_directory() + "/postgres", "--single", "-D", data_directory, "postgres"},
                   .limit = 60s,
                   .os_user = server_user(),
                   .input = sql + "\n"});
  return answer ? answer->output + answer->error_output : answer.error().message;
}

// Whether this kept directory has all rows that the node had when it diverged: the thousand that both have, and the one
// that the cluster lacks (ServerPair::diverge).
inline bool has_all_rows_of_a(const std::string& kept) {
  const auto answer = ask_copy(kept, "SELECT count(*) || ' ' || sum(x) AS rows FROM t");
  return answer.find("rows = \"1001 500499\"") != std::string::npos;
}

}  // namespace pgkeel::test
