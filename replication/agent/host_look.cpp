#include "replication/agent/host_look.h"

#include <filesystem>
#include <string_view>
#include <unistd.h>

#include "proxy/io/durable_file.h"
#include "proxy/io/mount_point.h"
#include "replication/agent/data_directory.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;
using namespace std::chrono_literals;

constexpr Duration kVersionLimit = 10s;
// What is run by pgkeel, and what comes with the server in the same package, so that its version tells.
constexpr const char* kPrograms[] = {"postgres",      "pg_ctl", "pg_controldata", "pg_rewind", "pg_waldump",
                                     "pg_basebackup", "psql"};
constexpr const char* kVersioned[] = {"pg_rewind", "pg_basebackup"};

// "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)" -> "15.14"
std::string version_in(std::string_view text) {
  constexpr std::string_view kBefore = "(PostgreSQL) ";
  const auto at = text.find(kBefore);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kBefore.size());
  return std::string(text.substr(0, text.find_first_of(" \n")));
}

// "MemAvailable:   123 kB"
std::uint64_t memory_line(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == std::string_view::npos) return 0;
  std::uint64_t kilobytes = 0;
  for (const char c : text.substr(at + name.size())) {
    if (c == '\n' || c == 'k') break;
    if (c >= '0' && c <= '9') kilobytes = kilobytes * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return kilobytes * 1024;
}

void add_disk(HostFacts& facts, const std::string& holds, const files::path& path) {
  std::error_code problem;
  const auto space = files::space(path, problem);
  if (problem) return;
  facts.disks.push_back({holds, path.string(), space.available, space.capacity});
}

// Of a data directory that is not there yet: of what it will be made in.
files::path nearest_that_is_there(files::path folder) {
  std::error_code problem;
  while (!files::exists(folder, problem) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

void look_at_disks(HostFacts& facts, const std::string& data_directory) {
  add_disk(facts, "data directory", nearest_that_is_there(data_directory));
  std::error_code problem;
  if (files::is_symlink(data_directory + "/pg_wal", problem))
    add_disk(facts, "pg_wal", files::canonical(data_directory + "/pg_wal", problem));
  for (const auto& entry : files::directory_iterator(data_directory + "/pg_tblspc", problem)) {
    std::error_code ignored;
    if (entry.is_symlink(ignored)) add_disk(facts, "tablespace", files::canonical(entry.path(), ignored));
  }
}

void look_at_programs(HostFacts& facts, const LocalServerConfig& local) {
  const DataDirectory directory(local);
  const auto can_be_run = [&](const char* program) { return access(directory.program(program).c_str(), X_OK) == 0; };
  const auto version_of = [&](const char* program) {
    if (!can_be_run(program)) return std::string();
    const auto told = directory.run(program, {"--version"}, kVersionLimit);
    return told ? version_in(*told) : std::string();
  };
  for (const char* program : kPrograms) {
    if (!can_be_run(program)) facts.missing_programs.emplace_back(program);
  }
  facts.postgres_version = version_of("postgres");
  for (const char* program : kVersioned) {
    const std::string version = version_of(program);
    if (!version.empty() && !facts.postgres_version.empty() && version != facts.postgres_version)
      facts.other_versions[program] = version;
  }
}

}  // namespace

HostFacts look_at_host(const LocalServerConfig& local) {
  HostFacts facts;
  std::error_code problem;
  auto data_directory = files::canonical(local.data_directory, problem).string();
  if (problem) data_directory = local.data_directory;
  look_at_disks(facts, data_directory);
  if (const auto memory = read_file("/proc/meminfo", 65536)) {
    facts.memory_available_bytes = memory_line(*memory, "MemAvailable:");
    facts.memory_total_bytes = memory_line(*memory, "MemTotal:");
  }
  look_at_programs(facts, local);
  facts.data_directory_is_mount_point = is_mount_point(data_directory);
  facts.data_directory_is_empty = DataDirectory(local).is_empty_or_absent();
  facts.parent_is_writable = access(files::path(data_directory).parent_path().c_str(), W_OK) == 0;
  return facts;
}

}  // namespace pgkeel
