#include "replication/coordination/etcd_keys.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/base/lenient_json.h"
#include "replication/coordination/shared_route_json.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;
using lenient_json::dump;
using lenient_json::member;
using lenient_json::parse;
using lenient_json::text_of;
using lenient_json::unsigned_of;

std::optional<std::uint64_t> read_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::set<std::string>> read_roster(const Json& json) {
  const Json& names = member(json, "members");
  if (!names.is_array()) return std::nullopt;
  std::set<std::string> members;
  for (const auto& name : names) {
    if (!name.is_string()) return std::nullopt;
    members.insert(name.get<std::string>());
  }
  return members;
}

// "a/b/c" in its parts.
std::vector<std::string> split(std::string_view key) {
  std::vector<std::string> parts;
  while (true) {
    const auto slash = key.find('/');
    parts.emplace_back(key.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    key.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<void> EtcdKeys::take(AgreedState& state, const EtcdKeyValue& entry) const {
  if (!entry.key.starts_with(prefix_)) return {};
  const auto parts = split(std::string_view(entry.key).substr(prefix_.size()));
  const auto damaged = [&] { return Error{"etcd's key " + entry.key + " cannot be read"}; };
  const Json json = parse(entry.value);
  if (parts.size() == 2 && parts[0] == "members") {
    if (text_of(json, "instance").empty()) {
      state.members.erase(parts[1]);  // nobody is waited for because of something that no pgkeel has written
      return damaged();
    }
    LiveMember& live = state.members[parts[1]];
    auto applied = std::move(live.applied);
    auto drained = std::move(live.drained);
    live = {entry.version,
            text_of(json, "machine"),
            text_of(json, "instance"),
            text_of(json, "address"),
            text_of(json, "version"),
            text_of(json, "configuration"),
            std::move(applied),
            std::move(drained)};
  } else if (parts.size() == 3 && (parts[0] == "applied" || parts[0] == "drained")) {
    const auto serial = read_number(entry.value);
    if (!serial) return damaged();
    const auto live = state.members.find(parts[1]);
    if (live == state.members.end()) return {};
    (parts[0] == "applied" ? live->second.applied : live->second.drained)[parts[2]] = *serial;
  } else if (parts.size() == 1 && parts[0] == "leader") {
    state.leader = text_of(json, "name");
    state.leader_instance = text_of(json, "instance");
    state.term = entry.created;
    if (state.leader.empty()) return damaged();
  } else if (parts.size() == 1 && parts[0] == "heir") {
    state.heir = entry.value;
  } else if (parts.size() == 1 && parts[0] == "roster") {
    auto members = read_roster(json);
    if (!members) return damaged();
    state.roster = {entry.version, std::move(*members)};
  } else if (parts.size() == 3 && parts[0] == "clusters" && parts[2] == "route") {
    auto route = shared_route_in(json);
    if (!route) return damaged();
    route->version = entry.version;
    state.routes[parts[1]] = std::move(*route);
  } else if (parts.size() == 3 && parts[0] == "clusters" && parts[2] == "memory") {
    state.memories[parts[1]] = {entry.version, entry.value};
  }
  return {};
}

void EtcdKeys::take_gone(AgreedState& state, std::string_view key) const {
  if (!key.starts_with(prefix_)) return;
  const auto parts = split(key.substr(prefix_.size()));
  if (parts.size() == 2 && parts[0] == "members") {
    state.members.erase(parts[1]);
  } else if (parts.size() == 3 && (parts[0] == "applied" || parts[0] == "drained")) {
    if (const auto live = state.members.find(parts[1]); live != state.members.end())
      (parts[0] == "applied" ? live->second.applied : live->second.drained).erase(parts[2]);
  } else if (parts.size() == 1 && parts[0] == "leader") {
    state.leader.clear();
    state.leader_instance.clear();
  } else if (parts.size() == 1 && parts[0] == "heir") {
    state.heir.clear();
  } else if (parts.size() == 1 && parts[0] == "roster") {
    state.roster = {};
  } else if (parts.size() == 3 && parts[0] == "clusters" && parts[2] == "route") {
    state.routes.erase(parts[1]);
  } else if (parts.size() == 3 && parts[0] == "clusters" && parts[2] == "memory") {
    state.memories.erase(parts[1]);
  }
}

std::string write_live_member(const LiveMember& live) {
  return dump({{"machine", live.machine},
               {"instance", live.instance},
               {"address", live.address},
               {"version", live.version},
               {"configuration", live.configuration}});
}

std::string write_leader(const std::string& name, const std::string& instance) {
  return dump({{"name", name}, {"instance", instance}});
}

std::string write_roster(const Roster& roster) {
  return dump({{"members", roster.members}});
}

std::string write_shared_route(const SharedRoute& route) {
  return dump(json_of(route));
}

std::string end_of_prefix(std::string prefix) {
  while (!prefix.empty()) {
    if (prefix.back() != '\xff') {
      prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return std::string(1, '\0');  // etcd's word for "to the end"
}

}  // namespace pgkeel
