#include "replication/readiness/host_facts.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <unistd.h>

#include "proxy/io/mount_point.h"
#include "replication/readiness/facts_query.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;

void add_disk(HostFacts& facts, const std::string& holds, const std::string& path) {
  std::error_code problem;
  const auto space = files::space(path, problem);
  if (problem) return;
  facts.disks.push_back({holds, path, space.available, space.capacity});
}

void look_at_disks(HostFacts& facts, const std::string& data_directory) {
  add_disk(facts, "data directory", data_directory);
  std::error_code problem;
  if (files::is_symlink(data_directory + "/pg_wal", problem))
    add_disk(facts, "pg_wal", files::canonical(data_directory + "/pg_wal", problem));
  for (const auto& entry : files::directory_iterator(data_directory + "/pg_tblspc", problem)) {
    std::error_code ignored;
    if (entry.is_symlink(ignored)) add_disk(facts, "tablespace", files::canonical(entry.path(), ignored));
  }
}

void look_for_files(HostFacts& facts, const std::string& data_directory,
                    const std::map<std::string, SettingFacts>& settings) {
  const auto ssl = settings.find("ssl");
  const bool ssl_is_on = ssl != settings.end() && ssl->second.value == "on";
  for (const auto& name : kFileSettings) {
    const auto found = settings.find(name);
    if (found == settings.end() || found->second.value.empty()) continue;
    if (name.starts_with("ssl") && !ssl_is_on) continue;
    const auto path = files::path(data_directory) / found->second.value;  // an absolute one stays as it is
    if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) facts.missing_files.push_back(name + ": " + path.string());
  }
}

}  // namespace

HostFacts look_at_host(const LocalServerConfig& local, const std::map<std::string, SettingFacts>& settings) {
  HostFacts facts;
  std::error_code problem;
  auto data_directory = files::canonical(local.data_directory, problem).string();
  if (problem) data_directory = local.data_directory;
  look_at_disks(facts, data_directory);
  look_for_files(facts, data_directory, settings);
  facts.data_directory_is_mount_point = is_mount_point(data_directory);
  facts.parent_is_writable = access(files::path(data_directory).parent_path().c_str(), W_OK) == 0;
  for (const char* program : {"pg_ctl", "pg_controldata", "pg_rewind", "pg_basebackup", "psql"}) {
    if (access((local.bin_directory + "/" + program).c_str(), X_OK) != 0) facts.missing_programs.emplace_back(program);
  }
  return facts;
}

}  // namespace pgkeel
