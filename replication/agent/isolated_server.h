// A stopped data directory, opened alone: its server recovers and answers on a socket in a private folder, and nowhere
// else. No network, no replication, no archive, no vacuum, no library that its configuration asks for, no worker that
// would act by itself; none of its log is removed. It dies with us. Blocking; one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"

namespace pgkeel {

class IsolatedServer {
 public:
  // `server`: the programs, the user, and the data directory to open. `progress` is told once in a while that it still
  // recovers. `checksums_may_fail`: pages were changed behind its back.
  static Result<std::unique_ptr<IsolatedServer>> start(const LocalServerConfig& server, bool checksums_may_fail,
                                                       const std::function<void(const std::string&)>& progress);
  ~IsolatedServer();  // stops it, by force where need be
  IsolatedServer(const IsolatedServer&) = delete;
  IsolatedServer& operator=(const IsolatedServer&) = delete;

  // Shuts it down cleanly: every page is on the disk.
  Result<void> stop();

  // As a superuser, in a session that only reads, and whose texts do not depend on anybody's settings.
  [[nodiscard]] std::string conninfo(const std::string& database) const;

 private:
  struct Process;  // the postmaster, waited for on a thread of its own
  IsolatedServer(const LocalServerConfig& server, std::string superuser);
  Result<void> launch(bool checksums_may_fail, bool own_libraries,
                      const std::function<void(const std::string&)>& progress);
  [[nodiscard]] std::vector<std::string> arguments(bool checksums_may_fail, bool own_libraries) const;
  Result<void> make_private_folder();

  LocalServerConfig server_;
  std::string superuser_;
  std::string folder_;  // private: socket, pg_hba.conf, postgresql.conf
  int major_version_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace pgkeel
