#include "replication/readiness/named_files.h"

#include <cerrno>
#include <filesystem>
#include <unistd.h>

#include "replication/readiness/facts_query.h"

namespace pgkeel {

std::vector<std::string> missing_named_files(const std::string& data_directory,
                                             const std::map<std::string, SettingFacts>& settings) {
  namespace files = std::filesystem;
  std::vector<std::string> missing;
  const auto ssl = settings.find("ssl");
  const bool ssl_is_on = ssl != settings.end() && ssl->second.value == "on";
  for (const auto& name : kFileSettings) {
    const auto found = settings.find(name);
    if (found == settings.end() || found->second.value.empty()) continue;
    if (name.starts_with("ssl") && !ssl_is_on) continue;
    const auto path = files::path(data_directory) / found->second.value;  // an absolute one stays as it is
    if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) missing.push_back(name + ": " + path.string());
  }
  return missing;
}

}  // namespace pgkeel
