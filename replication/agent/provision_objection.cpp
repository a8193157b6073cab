#include "replication/agent/provision_objection.h"

#include <charconv>

namespace pgkeel {
namespace {

constexpr std::uint32_t kVersionsOfMajor = 10000;

// "15.14" -> 15; 0: it cannot be told.
std::uint32_t major_of(const std::string& version) {
  std::uint32_t major = 0;
  const auto [end, code] = std::from_chars(version.data(), version.data() + version.size(), major);
  return code == std::errc{} ? major : 0;
}

}  // namespace

std::string why_not_empty(const std::string& data_directory, bool holds_server) {
  return data_directory + (holds_server
                               ? " holds a server already; nothing was touched: `pgkeel rejoin` makes it a standby"
                               : " is not empty, and no data directory of PostgreSQL; nothing was touched: "
                                 "empty it, or configure another");
}

std::string objection_to_provision(const std::string& node, const NodeHostFacts& facts, std::uint32_t primary_version) {
  const HostFacts& host = facts.host;
  const std::string data_directory = "the data directory of " + node;
  if (!host.data_directory_is_empty) return why_not_empty(data_directory, facts.data_directory_exists);
  if (!facts.nothing_runs) return "processes of a server run in " + data_directory + ", although it is empty; end them";
  if (host.postgres_version.empty() || !host.missing_programs.empty()) {
    return "PostgreSQL is not installed on the host of " + node + ", or not where bin_directory says: there is no " +
           (host.missing_programs.empty() ? "postgres that can be run" : host.missing_programs.front());
  }
  const std::uint32_t wanted = primary_version / kVersionsOfMajor;
  const std::uint32_t installed = major_of(host.postgres_version);
  if (wanted != 0 && installed != 0 && wanted != installed) {
    return "the host of " + node + " has PostgreSQL " + host.postgres_version + ", and the primary is of version " +
           std::to_string(wanted) + "; install that, and set bin_directory";
  }
  if (host.data_directory_is_mount_point)
    return data_directory + " is a mount point; configure a folder below it, because the copy is made beside it first";
  if (!host.parent_is_writable)
    return "a folder cannot be made beside " + data_directory +
           ", where the copy is made first; let pgkeel write there";
  return "";
}

}  // namespace pgkeel
