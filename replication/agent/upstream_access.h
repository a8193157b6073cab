// How the programs of a rejoin reach the upstream: its address, our replication user, the password. Job threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "proxy/base/lsn.h"
#include "proxy/base/result.h"
#include "replication/agent/data_directory.h"

namespace pgkeel {

// Where a standby streams from, and as whom.
struct UpstreamServer {
  std::string node;
  HostPort address;
  DatabaseUser replication;                    // password_file: see config
  std::optional<std::string> password;         // instead of the file: it came from elsewhere
  ServerTlsConfig tls = {};                    // how it is reached; the authority's file is looked for on this host
  Timeline timeline = 0;                       // the one that it writes
  std::vector<TimelineFork> timeline_history;  // of the upstream
  Lsn wal_position;                            // flushed, when it was asked last; invalid: it was not
  std::string oldest_wal_file;                 // by its name without the timeline; empty: not known
};

// Has libpq reach a server as server_tls wants it. Without the authority's file the connection is encrypted all the
// same, and the server verified only where `settings` name another file.
void set_upstream_tls(std::map<std::string, std::string>& settings, const ServerTlsConfig& tls,
                      bool authority_is_there);

class UpstreamAccess {
 public:
  // Reads the password file.
  static Result<UpstreamAccess> open(const DataDirectory& directory, const UpstreamServer& upstream);

  // Logs in for replication, and sees that it is the server that we think it is; reads its timeline history anew.
  // `system_identifier` empty: whichever cluster.
  Result<void> check(const std::string& system_identifier);

  // Why pg_rewind would not get far with it; empty where it would.
  [[nodiscard]] std::string obstacle_to_rewind() const;

  // Whether it still has the WAL from `position` of `timeline` on. True also where it does not let us look.
  [[nodiscard]] bool has_wal_from(Timeline timeline, Lsn position, std::uint32_t segment_bytes) const;

  // Whether its WAL holds `bytes`, which lie in one segment, at `position` of this timeline. Nothing where it has no
  // WAL there, or does not let us look.
  [[nodiscard]] std::optional<bool> has_same_wal(Timeline timeline, Lsn position, std::uint32_t segment_bytes,
                                                 std::string_view bytes) const;

  // Its tablespaces that are elsewhere, each with its location, by their oids.
  [[nodiscard]] Result<std::map<std::string, std::string>> tablespace_locations() const;

  // How much its tablespaces take, by their oids: of those only of which it tells us (pg_read_all_stats: all).
  [[nodiscard]] std::map<std::string, std::uint64_t> tablespace_bytes() const;

  // The process there that uses this replication slot. Nothing: none does, or it does not let us look.
  [[nodiscard]] std::optional<std::string> slot_user(const std::string& slot) const;

  // For pg_rewind and pg_basebackup. The password is not in it.
  [[nodiscard]] std::string conninfo() const;
  [[nodiscard]] std::vector<std::string> environment() const;

  // For the standby `node`; `password_file` has password_file_text() in it, or is empty.
  [[nodiscard]] std::string primary_conninfo(const std::string& node, const std::string& password_file) const;
  [[nodiscard]] const std::string& password() const { return password_; }
  [[nodiscard]] const UpstreamServer& server() const { return upstream_; }

 private:
  UpstreamAccess(const DataDirectory& directory, UpstreamServer upstream)
      : directory_(&directory), upstream_(std::move(upstream)) {}
  [[nodiscard]] Result<std::string> ask(const std::string& conninfo, const std::string& sql) const;
  [[nodiscard]] bool server_may_read_authority() const;

  const DataDirectory* directory_;
  UpstreamServer upstream_;
  std::string password_;
};

}  // namespace pgkeel
