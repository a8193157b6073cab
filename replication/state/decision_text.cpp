#include "replication/state/decision_text.h"

#include <cstdio>
#include <ctime>

#include <nlohmann/json.hpp>

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;
using Kind = DecisionRecord::Kind;

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

Duration duration_of(const Json& milliseconds) {
  return std::chrono::round<Duration>(std::chrono::duration<double, std::milli>(milliseconds.get<double>()));
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

// As format_wall_time() writes it.
WallTime wall_time_of(const Json& value) {
  std::tm parts{};
  int milliseconds = 0;
  const std::string text = text_of(value);
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                  &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &milliseconds) != 7) {
    return WallTime{};
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return WallTime(std::chrono::seconds(timegm(&parts)) + std::chrono::milliseconds(milliseconds));
}

Json wal_to_json(const DecisionRecord::Wal& wal) {
  Json json = {
      {"proven_lossless", wal.proven_lossless},
      {"bytes_lacking", wal.bytes_lacking ? Json(*wal.bytes_lacking) : Json(nullptr)},
      {"as_of", wal.as_of ? Json(format_wall_time(*wal.as_of)) : Json(nullptr)},
      {"old_primary_had_more", wal.old_primary_had_more ? Json(*wal.old_primary_had_more) : Json(nullptr)},
      {"lost", nullptr},
  };
  if (!wal.lost_report.empty()) {
    json["lost"] = {
        {"report", wal.lost_report}, {"transactions", wal.lost_transactions}, {"wal_bytes", wal.lost_bytes}};
  }
  return json;
}

DecisionRecord::Wal wal_of(const Json& json) {
  DecisionRecord::Wal wal;
  wal.proven_lossless = json.at("proven_lossless").get<bool>();
  if (!json.at("bytes_lacking").is_null()) wal.bytes_lacking = json["bytes_lacking"].get<std::uint64_t>();
  if (!json.at("as_of").is_null()) wal.as_of = wall_time_of(json["as_of"]);
  if (!json.at("old_primary_had_more").is_null()) wal.old_primary_had_more = json["old_primary_had_more"].get<bool>();
  if (const Json& lost = json.at("lost"); !lost.is_null()) {
    lost.at("report").get_to(wal.lost_report);
    lost.at("transactions").get_to(wal.lost_transactions);
    lost.at("wal_bytes").get_to(wal.lost_bytes);
  }
  return wal;
}

Json clients_to_json(const DecisionRecord::Clients& clients) {
  return {{"ended_idle", clients.ended_idle},
          {"ended_in_transaction", clients.ended_in_transaction},
          {"ended_busy", clients.ended_busy},
          {"ended_in_commit", clients.ended_in_commit},
          {"held", clients.held},
          {"released", clients.released}};
}

DecisionRecord::Clients clients_of(const Json& json) {
  DecisionRecord::Clients clients;
  json.at("ended_idle").get_to(clients.ended_idle);
  json.at("ended_in_transaction").get_to(clients.ended_in_transaction);
  json.at("ended_busy").get_to(clients.ended_busy);
  json.at("ended_in_commit").get_to(clients.ended_in_commit);
  json.at("held").get_to(clients.held);
  json.at("released").get_to(clients.released);
  return clients;
}

Json beside_rows_to_json(const std::optional<DecisionRecord::BesideRows>& beside) {
  if (!beside) return nullptr;
  return {{"prepared_transactions", beside->prepared_transactions},
          {"physical_slots", beside->physical_slots},
          {"physical_slots_anew", beside->physical_slots_anew},
          {"logical_slots", beside->logical_slots},
          {"left", beside->left}};
}

std::optional<DecisionRecord::BesideRows> beside_rows_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  DecisionRecord::BesideRows beside;
  json.at("prepared_transactions").get_to(beside.prepared_transactions);
  json.at("physical_slots").get_to(beside.physical_slots);
  json.at("physical_slots_anew").get_to(beside.physical_slots_anew);
  json.at("logical_slots").get_to(beside.logical_slots);
  json.at("left").get_to(beside.left);
  return beside;
}

}  // namespace

std::string decision_json(const DecisionRecord& record) {
  Json evidence = Json::array();
  for (const auto& each : record.evidence) {
    evidence.push_back({{"node", each.node},
                        {"liveness", each.liveness},
                        {"text", each.text},
                        {"since", format_wall_time(each.since)},
                        {"since_ms", milliseconds(record.decided - each.since)}});
  }
  Json candidates = Json::array();
  for (const auto& each : record.candidates) {
    candidates.push_back({{"node", each.node},
                          {"timeline", each.timeline},
                          {"wal_position", format_lsn(each.wal_position)},
                          {"safe", each.safe}});
  }
  Json steps = Json::array();
  Duration before{};
  for (const auto& each : record.steps) {
    steps.push_back(
        {{"step", each.name}, {"after_ms", milliseconds(each.after)}, {"took_ms", milliseconds(each.after - before)}});
    before = each.after;
  }
  Json json = {
      {"id", record.id},
      {"cluster", record.cluster},
      {"kind", decision_kind_name(record.kind)},
      {"outcome", record.outcome},
      {"epoch", record.epoch},
      {"began", format_wall_time(record.began)},
      {"decided", format_wall_time(record.decided)},
      {"from", text_or_null(record.from)},
      {"to", text_or_null(record.to)},
      {"reason", record.reason},
      {"ordered_by", text_or_null(record.ordered_by)},
      {"restarted", record.restarted},
      {"evidence", evidence},
      {"candidates", candidates},
      {"steps", steps},
  };
  if (changes_primary(record.kind)) {
    json["fence"] = record.fence;
    json["wal"] = wal_to_json(record.wal);
    json["clients"] = clients_to_json(record.clients);
    json["beside_rows"] = beside_rows_to_json(record.beside_rows);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<DecisionRecord> read_decision(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  DecisionRecord record;
  try {
    const std::string kind = json.at("kind").get<std::string>();
    bool known = false;
    for (const Kind each : {Kind::kFailover, Kind::kRefusedFailover, Kind::kRejoin, Kind::kSwitchover}) {
      if (kind != decision_kind_name(each)) continue;
      record.kind = each;
      known = true;
    }
    if (!known) return Error{"unknown kind of decision: " + kind};
    json.at("id").get_to(record.id);
    json.at("cluster").get_to(record.cluster);
    json.at("outcome").get_to(record.outcome);
    json.at("epoch").get_to(record.epoch);
    record.began = wall_time_of(json.at("began"));
    record.decided = wall_time_of(json.at("decided"));
    record.from = text_of(json.at("from"));
    record.to = text_of(json.at("to"));
    json.at("reason").get_to(record.reason);
    record.ordered_by = text_of(json.at("ordered_by"));
    json.at("restarted").get_to(record.restarted);
    for (const auto& each : json.at("evidence")) {
      record.evidence.push_back({each.at("node").get<std::string>(), each.at("liveness").get<std::string>(),
                                 each.at("text").get<std::string>(), wall_time_of(each.at("since"))});
    }
    for (const auto& each : json.at("candidates")) {
      record.candidates.push_back({each.at("node").get<std::string>(), each.at("timeline").get<Timeline>(),
                                   parse_lsn(each.at("wal_position").get<std::string>()).value_or(Lsn{}),
                                   each.at("safe").get<bool>()});
    }
    for (const auto& each : json.at("steps"))
      record.steps.push_back({each.at("step").get<std::string>(), duration_of(each.at("after_ms"))});
    if (!changes_primary(record.kind)) return record;
    json.at("fence").get_to(record.fence);
    record.wal = wal_of(json.at("wal"));
    record.clients = clients_of(json.at("clients"));
    record.beside_rows = beside_rows_of(json.at("beside_rows"));
    return record;
  } catch (const Json::exception& problem) {
    return Error{std::string("the record of a decision cannot be read: ") + problem.what()};
  }
}

}  // namespace pgkeel
