// The servers of the demo: a primary `a`, its standby `b` and a pgkeel in front, all in one temporary folder that goes
// with this object. Everything is what a user would run: initdb, pg_basebackup, pg_ctl, `pgkeel serve`. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/background_process.h"
#include "replication/agent/local_server.h"

namespace pgkeel {

class DemoServers {
 public:
  // `access_point_port` 0: a free one. Blocks until clients can work.
  static Result<std::unique_ptr<DemoServers>> start(std::uint16_t access_point_port);
  ~DemoServers();

  [[nodiscard]] std::string conninfo(const std::string& application_name) const;  // through the access point
  [[nodiscard]] std::string direct_conninfo(const std::string& node) const;
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const std::string& config_file() const { return config_file_; }
  [[nodiscard]] const std::string& password() const { return password_; }
  [[nodiscard]] std::string server_version() const;
  [[nodiscard]] HostPort access_point() const { return {"127.0.0.1", access_point_port_}; }
  [[nodiscard]] std::uint16_t port_of(const std::string& node) const;

  // SIGKILL to the postmaster of `a` and all its children.
  struct Kill {
    std::size_t processes = 0;
    Now at;  // just before the first signal
  };
  [[nodiscard]] Kill kill_primary_tree() const;

 private:
  DemoServers() = default;
  Result<void> make_folder();
  Result<void> make_primary();
  Result<void> make_standby();
  Result<void> start_pgkeel(std::uint16_t access_point_port);
  Result<void> run_as_server_user(std::vector<std::string> arguments) const;
  // Mode 0600, and the servers' user may read it.
  [[nodiscard]] Result<void> write_secret(const std::string& file, const std::string& content) const;
  [[nodiscard]] LocalServer server(const std::string& node) const;
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  std::string bin_directory_;
  std::string os_user_;  // empty: ours
  std::string password_;
  std::uint16_t primary_port_ = 0;
  std::uint16_t standby_port_ = 0;
  std::uint16_t access_point_port_ = 0;
  Config config_;
  std::string config_file_;
  std::optional<BackgroundProcess> pgkeel_;
};

}  // namespace pgkeel
