// Three members of etcd, each on a host of its own, and what can be done to them. What they store outlives their
// processes. Failures throw. One thread, which starts them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/background_process.h"
#include "tests/support/network.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::chaos {

class EtcdCluster {
 public:
  // Returns when they have a leader.
  EtcdCluster(const test::Network& network, std::vector<std::string> hosts);

  [[nodiscard]] const std::vector<std::string>& hosts() const { return hosts_; }
  [[nodiscard]] std::vector<std::string> urls() const;
  // Its host; empty: there is none.
  [[nodiscard]] std::string leader() const;

  void kill(const std::string& host);  // SIGKILL
  void freeze(const std::string& host);
  void thaw_all();
  void start_all();  // those that are down; returns when they have a leader

 private:
  [[nodiscard]] std::string url(const std::string& host, int port) const;
  void start(const std::string& host);

  const test::Network& network_;
  const std::vector<std::string> hosts_;
  test::TemporaryFolder folder_;
  std::map<std::string, std::optional<BackgroundProcess>> processes_;
};

}  // namespace pgkeel::chaos
