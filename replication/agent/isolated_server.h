// A stopped data directory, opened alone: its server recovers and answers on a socket in a private folder, and nowhere
// else. No network, no replication, no archive, no vacuum, no library that its configuration asks for, no worker that
// would act by itself; none of its log is removed. It dies with us. Blocking; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "replication/agent/private_folder.h"

namespace pgkeel {

class IsolatedServer {
 public:
  static constexpr std::uint16_t kUsualPort = 5432;  // a part of its socket's name, nothing else

  // `server`: the programs, the user, and the data directory to open. `progress` is told once in a while that it still
  // recovers. `checksums_may_fail`: pages were changed behind its back. `port`: of the node, where its own data
  // directory is opened, so that a postmaster.pid that is left behind is not taken for another node's.
  static Result<std::unique_ptr<IsolatedServer>> start(const LocalServerConfig& server, bool checksums_may_fail,
                                                       const std::function<void(const std::string&)>& progress,
                                                       std::uint16_t port = kUsualPort);
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
  std::unique_ptr<PrivateFolder> folder_;  // socket, pg_hba.conf, postgresql.conf
  int major_version_ = 0;
  std::uint16_t port_ = kUsualPort;
  std::unique_ptr<Process> process_;
};

}  // namespace pgkeel
