// What the members agree on as keys and values of etcd, and back. README.md lists them. Pure. Whatever a value holds,
// nothing here throws: what cannot be read is an error that names the key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "replication/coordination/agreed_state.h"

namespace pgkeel {

// A key with its value at one revision.
struct EtcdKeyValue {
  std::string key;
  std::string value;
  std::uint64_t created = 0;  // the revision that made it
  std::uint64_t version = 0;  // the revision that wrote it last
};

class EtcdKeys {
 public:
  explicit EtcdKeys(std::string prefix) : prefix_(std::move(prefix)) {}

  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  [[nodiscard]] std::string member(const std::string& name) const { return prefix_ + "members/" + name; }
  [[nodiscard]] std::string applied_of(const std::string& name) const { return prefix_ + "applied/" + name + "/"; }
  [[nodiscard]] std::string applied(const std::string& name, const std::string& cluster) const {
    return applied_of(name) + cluster;
  }
  [[nodiscard]] std::string drained_of(const std::string& name) const { return prefix_ + "drained/" + name + "/"; }
  [[nodiscard]] std::string drained(const std::string& name, const std::string& cluster) const {
    return drained_of(name) + cluster;
  }
  [[nodiscard]] std::string leader() const { return prefix_ + "leader"; }
  [[nodiscard]] std::string heir() const { return prefix_ + "heir"; }
  [[nodiscard]] std::string roster() const { return prefix_ + "roster"; }
  [[nodiscard]] std::string route(const std::string& cluster) const {
    return prefix_ + "clusters/" + cluster + "/route";
  }
  [[nodiscard]] std::string memory(const std::string& cluster) const {
    return prefix_ + "clusters/" + cluster + "/memory";
  }

  // Takes a key that is there, or is gone, over into the state. Keys that are none of ours are passed over.
  Result<void> take(AgreedState& state, const EtcdKeyValue& entry) const;
  void take_gone(AgreedState& state, std::string_view key) const;

 private:
  const std::string prefix_;
};

// The values.
std::string write_live_member(const LiveMember& member);  // without `applied`
std::string write_leader(const std::string& name, const std::string& instance);
std::string write_roster(const Roster& roster);
std::string write_shared_route(const SharedRoute& route);

// The first key behind all that begin with this one.
std::string end_of_prefix(std::string prefix);

}  // namespace pgkeel
