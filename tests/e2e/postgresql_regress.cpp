// PostgreSQL's own regression tests, on a server itself and then through the access point in front of it: what psql
// shows must be the same, byte for byte.
//   postgresql_regress FOLDER     src/test/regress of PostgreSQL's sources, with regress.so; which the script of the
//   same name makes
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "proxy/io/child_process.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/postgres_server.h"

namespace {

using namespace pgkeel;
using namespace pgkeel::test;
namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Beside pgxs.mk: it is what extensions are tested with.
std::string pg_regress() {
  const auto found = run_checked({.arguments = {"pg_config", "--pgxs"}, .limit = std::chrono::seconds(10)});
  if (!found) throw std::runtime_error(found.error().message);
  const fs::path makefile = found->substr(0, found->find_last_not_of('\n') + 1);
  return makefile.parent_path().parent_path() / "test/regress/pg_regress";
}

// Returns the folder of what psql showed.
fs::path run_schedule(const fs::path& tests, const fs::path& output, std::uint16_t port) {
  // The server itself writes there too, as another user.
  fs::create_directories(output / "results");
  for (const auto& folder : {output, output / "results"}) fs::permissions(folder, fs::perms::all);
  const auto result =
      run_program({.arguments = {pg_regress(), "--bindir=" + bin_directory(), "--host=127.0.0.1",
                                 "--port=" + std::to_string(port), "--user=postgres", "--inputdir=" + tests.string(),
                                 "--outputdir=" + output.string(), "--dlpath=" + tests.string(),
                                 "--schedule=" + (tests / "parallel_schedule").string(), "--max-concurrent-tests=20"},
                   .limit = std::chrono::hours(1),
                   .environment = {"LC_ALL=C"},
                   .working_directory = output});
  if (!result) throw std::runtime_error(result.error().message);
  std::cout << result->output.substr(std::min(result->output.size(), result->output.rfind("\n====")));
  return output / "results";
}

int run(const fs::path& tests) {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(
      folder, "a", {.settings = {"fsync = off", "max_prepared_transactions = 2"}, .own_system_identifier = true});
  PgkeelProcess pgkeel(folder, {server.get()}, PgkeelOptions{.log_level = "info"});
  pgkeel.start();
  if (!pgkeel.wait_for([](const auto& now) { return now["route"] == "a"; }))
    throw std::runtime_error(pgkeel.describe());

  std::cout << "on the server itself:" << std::endl;
  const fs::path direct = run_schedule(tests, folder.path() + "/direct", server->port());
  std::cout << "through the access point:" << std::endl;
  const fs::path through = run_schedule(tests, folder.path() + "/through", pgkeel.port());

  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(direct)) {
    if (entry.path().extension() == ".out") names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  int differ = 0;
  for (const auto& name : names) {
    if (text_of(direct / name) == text_of(through / name)) continue;
    ++differ;
    const auto difference =
        run_program({.arguments = {"diff", "-u", direct / name, through / name}, .limit = std::chrono::minutes(1)});
    std::cout << name << " differs:\n" << (difference ? difference->output : "") << "\n";
  }
  std::cout << names.size() << " tests, " << differ << " of which show something else through the access point\n";
  return names.empty() || differ > 0 ? 1 : 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::cerr << "usage: postgresql_regress FOLDER\n";
    return 2;
  }
  try {
    return run(fs::absolute(arguments[1]));
  } catch (const std::exception& error) {
    std::cerr << "postgresql_regress: " << error.what() << "\n";
    return 1;
  }
}
