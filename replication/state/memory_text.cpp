#include "replication/state/memory_text.h"

#include <array>
#include <cstdio>
#include <utility>
#include <zlib.h>

#include <nlohmann/json.hpp>

namespace pgkeel {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 2;
constexpr int kFormatWithoutPromise = 1;  // of a pgkeel that did not manage synchronous replication
constexpr std::array kPhases = {Phase::kUnadopted, Phase::kSteady, Phase::kFencing, Phase::kPromoting};

Result<Phase> phase_named(const std::string& name) {
  for (const Phase phase : kPhases) {
    if (name == phase_name(phase)) return phase;
  }
  return Error{"unknown phase \"" + name + "\""};
}

Json to_json(const SyncQuorum& quorum) {
  return {{"members", quorum.members}, {"acks", quorum.acks}};
}

Result<SyncQuorum> quorum_of(const Json& json) {
  SyncQuorum quorum;
  json.at("members").get_to(quorum.members);
  json.at("acks").get_to(quorum.acks);
  if (!quorum.well_formed()) return Error{"it is damaged: \"" + json.dump() + "\" is no quorum of standbys"};
  return quorum;
}

Json to_json(const std::string& cluster, const ClusterMemory& memory) {
  Json nodes = Json::object();
  for (const auto& [name, node] : memory.nodes) nodes[name] = {{"old_primary", node.old_primary}};
  Json failovers = Json::array();
  for (const WallTime when : memory.automatic_failovers) failovers.push_back(to_milliseconds(when.time_since_epoch()));
  return {
      {"format", kFormat},
      {"cluster", cluster},
      {"phase", phase_name(memory.phase)},
      {"epoch", memory.epoch},
      {"primary", memory.primary},
      {"candidate", memory.candidate},
      {"abandoned_candidate", memory.abandoned_candidate},
      {"reason", memory.reason},
      {"system_identifier", memory.system_identifier},
      {"timeline", memory.timeline},
      {"automatic_failovers_ms", failovers},
      {"nodes", nodes},
      {"promise", to_json(memory.promise)},
      {"standby_names", to_json(memory.standby_names)},
      {"standby_names_order", memory.standby_names_order},
  };
}

}  // namespace

std::string checksum_of(std::string_view text) {
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  char digits[16];
  std::snprintf(digits, sizeof digits, "%08lx", static_cast<unsigned long>(sum));
  return digits;
}

std::string write_memory(const std::string& cluster, const ClusterMemory& memory) {
  // What names a reason may quote a server's message: bytes that are no UTF-8 are replaced, never an exception.
  const std::string body = to_json(cluster, memory).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return checksum_of(body) + "\n" + body;
}

Result<ClusterMemory> read_memory(const std::string& cluster, std::string_view text) {
  const auto line_end = text.find('\n');
  if (line_end == std::string_view::npos || checksum_of(text.substr(line_end + 1)) != text.substr(0, line_end)) {
    return Error{"it is damaged: its checksum does not fit"};
  }
  const Json json = Json::parse(text.substr(line_end + 1), nullptr, false);
  if (json.is_discarded() || !json.is_object()) return Error{"it is damaged: no JSON object"};
  try {
    const int format = json.at("format").get<int>();
    if (format != kFormat && format != kFormatWithoutPromise) {
      return Error{"it has format " + json.at("format").dump() + ", and this pgkeel knows format " +
                   std::to_string(kFormat)};
    }
    if (json.at("cluster").get<std::string>() != cluster) {
      return Error{"it belongs to cluster " + json.at("cluster").get<std::string>()};
    }
    ClusterMemory memory;
    const auto phase = phase_named(json.at("phase").get<std::string>());
    if (!phase) return phase.error();
    memory.phase = *phase;
    json.at("epoch").get_to(memory.epoch);
    json.at("primary").get_to(memory.primary);
    json.at("candidate").get_to(memory.candidate);
    json.at("abandoned_candidate").get_to(memory.abandoned_candidate);
    json.at("reason").get_to(memory.reason);
    json.at("system_identifier").get_to(memory.system_identifier);
    json.at("timeline").get_to(memory.timeline);
    for (const auto& when : json.at("automatic_failovers_ms")) {
      memory.automatic_failovers.emplace_back(std::chrono::milliseconds(when.get<std::int64_t>()));
    }
    for (const auto& [name, node] : json.at("nodes").items()) {
      memory.nodes[name].old_primary = node.at("old_primary").get<bool>();
    }
    if (format == kFormatWithoutPromise) return memory;
    auto promise = quorum_of(json.at("promise"));
    if (!promise) return promise.error();
    auto standby_names = quorum_of(json.at("standby_names"));
    if (!standby_names) return standby_names.error();
    memory.promise = std::move(*promise);
    memory.standby_names = std::move(*standby_names);
    json.at("standby_names_order").get_to(memory.standby_names_order);
    return memory;
  } catch (const Json::exception& problem) {
    return Error{std::string("it is damaged: ") + problem.what()};
  }
}

}  // namespace pgkeel
