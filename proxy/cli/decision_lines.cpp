#include "proxy/cli/decision_lines.h"

#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proxy/cli/shown_json.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

std::string time_text(double milliseconds) {
  return milliseconds < 10'000 ? fmt::format("{:.0f} ms", milliseconds) : fmt::format("{:.1f} s", milliseconds / 1000);
}

// "label: first", and what follows under it.
std::string block(const std::string& label, const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += fmt::format("  {:<13}{}\n", text.empty() ? label + ":" : "", line);
  return text;
}

std::string evidence_block(const Json& record) {
  std::vector<std::string> lines;
  for (const auto& each : record.at("evidence")) {
    const auto liveness = each.at("liveness").get<std::string>();
    const auto text = each.at("text").get<std::string>();
    const bool says_more = !text.empty() && text != liveness;
    lines.push_back(fmt::format("{} {}{}, for {}", each.at("node").get<std::string>(), liveness,
                                says_more ? " (" + text + ")" : "", time_text(each.at("since_ms").get<double>())));
  }
  return block("evidence", lines);
}

std::string candidates_block(const Json& record) {
  std::vector<std::string> lines;
  for (const auto& each : record.at("candidates")) {
    lines.push_back(fmt::format("{} at {} of timeline {}{}", each.at("node").get<std::string>(),
                                each.at("wal_position").get<std::string>(), each.at("timeline").get<std::uint32_t>(),
                                each.at("safe") == true ? ", safe" : ""));
  }
  return block("candidates", lines);
}

std::string steps_block(const Json& record) {
  std::string steps;
  for (const auto& step : record.at("steps")) {
    steps += fmt::format("{}{} {}", steps.empty() ? "" : ", ", step.at("step").get<std::string>(),
                         time_text(step.at("after_ms").get<double>()));
    if (step.contains("took_ms") && step["took_ms"] != step["after_ms"])
      steps += fmt::format(" (+{})", time_text(step["took_ms"].get<double>()));
  }
  return steps.empty() ? "" : block("steps", {steps});
}

std::string wal_block(const Json& record) {
  const Json& wal = record.at("wal");
  const std::string from = text_or_dash(record.at("from"));
  const std::string to = text_or_dash(record.at("to"));
  std::vector<std::string> lines;
  if (wal.at("proven_lossless") == true)
    lines.push_back("no acknowledged commit is lost: each was on " + to + " before it was acknowledged");
  const Json had_more = wal.value("old_primary_had_more", Json(nullptr));
  const Json lost = wal.value("lost", Json(nullptr));
  if (lost.is_object()) {
    lines.push_back(fmt::format("{} alone had {}, {} bytes of WAL: pgkeel lost {} {}", from,
                                committed_transactions(lost.at("transactions").get<std::uint64_t>()),
                                lost.at("wal_bytes").get<std::uint64_t>(), record.at("cluster").get<std::string>(),
                                lost.at("report").get<std::string>()));
  } else if (had_more == true) {
    lines.push_back(from + " had WAL that " + to + " lacks: it is set aside (pgkeel lost " +
                    record.at("cluster").get<std::string>() + ")");
  } else if (had_more == false) {
    lines.push_back("nothing is lost: " + from + " had no WAL that " + to + " lacks");
  } else if (wal.at("bytes_lacking").is_number_unsigned()) {
    lines.push_back(fmt::format(
        "when {} was asked last ({}) it had {} bytes that {} lacks; what it wrote later is known "
        "when it is a standby again",
        from, text_or_dash(wal.value("as_of", Json(nullptr))), wal["bytes_lacking"].get<std::uint64_t>(), to));
  } else {
    lines.push_back("what " + from + " had and " + to + " lacks is not known before it is a standby again");
  }
  return block("WAL", lines);
}

std::string clients_block(const Json& record) {
  const Json& clients = record.at("clients");
  const auto count = [&](const char* key) { return clients.value(key, std::uint64_t{0}); };
  return block(
      "clients",
      {fmt::format("ended: {} idle, {} in a transaction, {} busy, {} in COMMIT; held: {}, of these released: {}{}",
                   count("ended_idle"), count("ended_in_transaction"), count("ended_busy"), count("ended_in_commit"),
                   count("held"), count("released"),
                   record.value("restarted", false) ? " (pgkeel ended meanwhile: not all were counted)" : "")});
}

std::string list(const Json& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name.get<std::string>();
  return text;
}

std::string beside_rows_block(const Json& record) {
  const Json beside = record.value("beside_rows", Json(nullptr));
  if (!beside.is_object()) return "";
  std::vector<std::string> lines;
  if (beside.at("prepared_transactions") != 0) {
    lines.push_back(fmt::format("{} prepared transactions came along; each holds its locks until it is ended",
                                beside["prepared_transactions"].get<std::uint64_t>()));
  }
  if (!beside.at("physical_slots").empty())
    lines.push_back("physical slots of others: " + list(beside["physical_slots"]));
  if (!beside.at("physical_slots_anew").empty()) {
    lines.push_back("physical slots of others that were not there yet, and are made: " +
                    list(beside["physical_slots_anew"]));
  }
  if (!beside.at("logical_slots").empty())
    lines.push_back("logical slots that were synchronized: " + list(beside["logical_slots"]));
  for (const auto& line : beside.at("left")) lines.push_back(line.get<std::string>());
  return block("beside rows", lines);
}

}  // namespace

std::string decision_lines(const Json& record) {
  const std::string ordered_by = record.at("ordered_by").is_string() ? record["ordered_by"].get<std::string>() : "";
  const auto names = [&]() -> std::string {
    if (record.at("kind") == "rejoin") return text_or_dash(record.at("to")) + " to " + text_or_dash(record.at("from"));
    if (record.at("kind") == "refused failover") return "from " + text_or_dash(record.at("from"));
    return text_or_dash(record.at("from")) + " -> " + text_or_dash(record.at("to"));
  };
  std::string text =
      fmt::format("{} {} {}: {}, epoch {}{}{}\n", record.at("began").get<std::string>(),
                  record.at("kind").get<std::string>(), names(), record.at("outcome").get<std::string>(),
                  record.at("epoch").get<std::uint64_t>(), ordered_by.empty() ? "" : ", ordered from " + ordered_by,
                  record.value("restarted", false) ? ", continued after a restart of pgkeel" : "");
  text += block("why", {record.at("reason").get<std::string>()});
  text += evidence_block(record) + candidates_block(record) + steps_block(record);
  if (record.contains("fence")) text += block("old primary", {record["fence"].get<std::string>()});
  if (record.contains("wal")) text += wal_block(record) + clients_block(record) + beside_rows_block(record);
  return text;
}

std::string committed_transactions(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " committed transaction" : " committed transactions");
}

}  // namespace pgkeel
