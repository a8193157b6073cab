#include "replication/state/memory_text.h"

#include <cstdio>
#include <utility>
#include <zlib.h>

#include <nlohmann/json.hpp>

namespace pgkeel {
namespace {

using Json = nlohmann::json;

constexpr int kFormatWithoutPromise = 1;  // of a pgkeel that did not manage synchronous replication
constexpr int kFormatWithPromise = 2;
constexpr int kFormatOfMaintenance = 3;  // one that does not know of it would read past it, and fail over

Result<Phase> phase_named(const std::string& name) {
  for (const Phase phase : kAllPhases) {
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

template <class Value, std::size_t kCount>
Result<Value> named(const Value (&all)[kCount], const char* (*name_of)(Value), const std::string& name) {
  for (const Value value : all) {
    if (name == name_of(value)) return value;
  }
  return Error{"unknown word \"" + name + "\""};
}

Json order_to_json(const OperatorOrder& order) {
  return {
      {"id", order.id},
      {"kind", order_name(order.kind)},
      {"node", order.node},
      {"accept_loss", order.accept_loss},
      {"rebuild", order.rebuild},
      {"discard_old_data", order.discard_old_data},
      {"on", order.on},
      {"given_by", order.given_by},
      {"given_at_ms", to_milliseconds(order.given_at.time_since_epoch())},
      {"state", order_state_name(order.state)},
      {"message", order.message},
      {"primary_before", order.primary_before},
      {"carried_out", order.carried_out},
  };
}

Result<OperatorOrder> order_from_json(const Json& json) {
  OperatorOrder order;
  const auto kind = named(kAllOrderKinds, order_name, json.at("kind").get<std::string>());
  const auto state = named(kAllOrderStates, order_state_name, json.at("state").get<std::string>());
  if (!kind) return kind.error();
  if (!state) return state.error();
  order.kind = *kind;
  order.state = *state;
  json.at("id").get_to(order.id);
  json.at("node").get_to(order.node);
  json.at("accept_loss").get_to(order.accept_loss);
  json.at("rebuild").get_to(order.rebuild);
  json.at("discard_old_data").get_to(order.discard_old_data);
  order.on = json.value("on", false);
  json.at("given_by").get_to(order.given_by);
  order.given_at = WallTime(std::chrono::milliseconds(json.at("given_at_ms").get<std::int64_t>()));
  json.at("message").get_to(order.message);
  json.at("primary_before").get_to(order.primary_before);
  json.at("carried_out").get_to(order.carried_out);
  return order;
}

Json to_json(const LogicalSlotName& slot) {
  return {{"name", slot.name}, {"database", slot.database}, {"plugin", slot.plugin}};
}

LogicalSlotName logical_slot_of(const Json& json) {
  return {json.at("name").get<std::string>(), json.at("database").get<std::string>(),
          json.at("plugin").get<std::string>()};
}

void slots_to_json(const ClusterMemory& memory, Json& json) {
  json["kept_slots"] = Json::array();
  for (const auto& kept : memory.kept_slots) json["kept_slots"].push_back({{"node", kept.node}, {"slot", kept.slot}});
  Json logical = Json::array();
  for (const auto& slot : memory.logical_slots.slots) logical.push_back(to_json(slot));
  json["logical_slots"] = {{"primary", memory.logical_slots.primary}, {"slots", logical}};
  json["left_slots"] = Json::array();
  for (const auto& left : memory.left_slots) {
    json["left_slots"].push_back({{"slot", to_json(left.slot)},
                                  {"old_primary", left.old_primary},
                                  {"confirmed_flush", format_lsn(left.confirmed_flush)},
                                  {"is_other", left.is_other},
                                  {"since_ms", to_milliseconds(left.since.time_since_epoch())}});
  }
}

// A pgkeel that did not look after the slots of others kept none.
void read_slots(const Json& json, ClusterMemory& memory) {
  for (const auto& kept : json.value("kept_slots", Json::array()))
    memory.kept_slots.insert({kept.at("node").get<std::string>(), kept.at("slot").get<std::string>()});
  if (json.contains("logical_slots")) {
    json.at("logical_slots").at("primary").get_to(memory.logical_slots.primary);
    for (const auto& slot : json.at("logical_slots").at("slots"))
      memory.logical_slots.slots.push_back(logical_slot_of(slot));
  }
  for (const auto& left : json.value("left_slots", Json::array())) {
    memory.left_slots.push_back(
        {.slot = logical_slot_of(left.at("slot")),
         .old_primary = left.at("old_primary").get<std::string>(),
         .confirmed_flush = parse_lsn(left.at("confirmed_flush").get<std::string>()).value_or(Lsn{}),
         .is_other = left.at("is_other").get<bool>(),
         .since = WallTime(std::chrono::milliseconds(left.at("since_ms").get<std::int64_t>()))});
  }
}

Json to_json(const Maintenance& maintenance) {
  return {{"since_ms", to_milliseconds(maintenance.since.time_since_epoch())}, {"given_by", maintenance.given_by}};
}

Maintenance maintenance_of(const Json& json) {
  return {WallTime(std::chrono::milliseconds(json.at("since_ms").get<std::int64_t>())),
          json.at("given_by").get<std::string>()};
}

// The oldest in which nothing is missed.
int format_of(const ClusterMemory& memory) {
  return memory.maintenance || !memory.nodes_maintained.empty() ? kFormatOfMaintenance : kFormatWithPromise;
}

Json to_json(const std::string& cluster, const ClusterMemory& memory) {
  Json nodes_maintained = Json::object();
  for (const auto& [name, maintenance] : memory.nodes_maintained) nodes_maintained[name] = to_json(maintenance);
  Json nodes = Json::object();
  for (const auto& [name, node] : memory.nodes)
    nodes[name] = {{"old_primary", node.old_primary}, {"superseded", node.superseded}};
  Json orders = Json::array();
  for (const auto& order : memory.orders) orders.push_back(order_to_json(order));
  Json failovers = Json::array();
  for (const WallTime when : memory.automatic_failovers) failovers.push_back(to_milliseconds(when.time_since_epoch()));
  Json json = {
      {"format", format_of(memory)},
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
      {"standby_names_in_force", to_json(memory.standby_names_in_force)},
      {"standby_names_order", memory.standby_names_order},
      {"opens_when_commits_wait", memory.opens_when_commits_wait},
      {"maintenance", memory.maintenance ? to_json(*memory.maintenance) : Json()},
      {"nodes_maintained", nodes_maintained},
      {"switched_back_ms",
       memory.switched_back ? Json(to_milliseconds(memory.switched_back->time_since_epoch())) : Json()},
      {"orders_given", memory.orders_given},
      {"orders", orders},
  };
  slots_to_json(memory, json);
  return json;
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
    if (format < kFormatWithoutPromise || format > kFormatOfMaintenance) {
      return Error{"it has format " + json.at("format").dump() + ", and this pgkeel knows format " +
                   std::to_string(kFormatOfMaintenance)};
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
      memory.nodes[name].superseded = node.value("superseded", false);
    }
    // What an older pgkeel did not know it did not write.
    if (const Json all = json.value("maintenance", Json()); !all.is_null()) memory.maintenance = maintenance_of(all);
    const Json nodes_maintained = json.value("nodes_maintained", Json::object());
    for (const auto& [name, each] : nodes_maintained.items()) memory.nodes_maintained[name] = maintenance_of(each);
    if (const Json when = json.value("switched_back_ms", Json()); !when.is_null())
      memory.switched_back = WallTime(std::chrono::milliseconds(when.get<std::int64_t>()));
    memory.opens_when_commits_wait = json.value("opens_when_commits_wait", false);
    memory.orders_given = json.value("orders_given", std::uint64_t{0});
    for (const auto& each : json.value("orders", Json::array())) {
      auto order = order_from_json(each);
      if (!order) return order.error();
      memory.orders.push_back(std::move(*order));
    }
    read_slots(json, memory);
    if (format == kFormatWithoutPromise) return memory;
    auto promise = quorum_of(json.at("promise"));
    if (!promise) return promise.error();
    auto standby_names = quorum_of(json.at("standby_names"));
    if (!standby_names) return standby_names.error();
    auto in_force = quorum_of(json.at("standby_names_in_force"));
    if (!in_force) return in_force.error();
    memory.promise = std::move(*promise);
    memory.standby_names_in_force = std::move(*in_force);
    memory.standby_names = std::move(*standby_names);
    json.at("standby_names_order").get_to(memory.standby_names_order);
    return memory;
  } catch (const Json::exception& problem) {
    return Error{std::string("it is damaged: ") + problem.what()};
  }
}

}  // namespace pgkeel
