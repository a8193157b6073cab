#include "tests/chaos/report.h"

#include <algorithm>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace pgkeel::chaos {
namespace {

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::int64_t rounded_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

Duration median(std::vector<Duration> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

std::string line_about(std::size_t round, const RoundResult& result) {
  std::string errors;
  for (const auto& [sqlstate, count] : result.client_errors)
    errors += fmt::format("{}{} {}", errors.empty() ? "  errors: " : ", ", count,
                          sqlstate.empty() ? "broken links" : sqlstate);
  return fmt::format(
      "{:%H:%M:%S} round {:3}  {:<52} {:5.1f} s  gap {:7.0f} ms, of one client {:7.0f} ms  settled in {:5.1f} "
      "s  {}lost {}{}",
      fmt::localtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())), round, result.kind,
      milliseconds(result.fault_lasted) / 1000, milliseconds(result.gap), milliseconds(result.gap_of_one),
      milliseconds(result.settled) / 1000, result.primary_changed ? "new primary  " : "", result.lost,
      (result.is_unwanted ? "  UNWANTED" : "") + errors);
}

nlohmann::ordered_json summary(const std::vector<RoundResult>& rounds, const Totals& totals) {
  std::map<std::string, std::vector<Duration>> gaps;
  std::map<std::string, std::vector<Duration>> gaps_of_one;
  std::map<std::string, std::map<std::string, std::size_t>> errors;
  std::size_t primary_changes = 0;
  for (const auto& round : rounds) {
    gaps[round.kind].push_back(round.gap);
    gaps_of_one[round.kind].push_back(round.gap_of_one);
    for (const auto& [sqlstate, count] : round.client_errors) errors[round.kind][sqlstate] += count;
    if (round.primary_changed) ++primary_changes;
  }
  nlohmann::ordered_json faults = nlohmann::ordered_json::object();
  for (const auto& [kind, of_kind] : gaps) {
    faults[kind] = {{"count", of_kind.size()},
                    {"median_gap_ms", rounded_ms(median(of_kind))},
                    {"max_gap_ms", rounded_ms(std::ranges::max(of_kind))},
                    {"median_gap_of_one_client_ms", rounded_ms(median(gaps_of_one[kind]))},
                    {"max_gap_of_one_client_ms", rounded_ms(std::ranges::max(gaps_of_one[kind]))},
                    {"client_errors", errors[kind]}};
  }
  return {
      {"seed", totals.seed},
      {"durability", totals.durability},
      {"servers", totals.servers},
      {"with_agents", totals.with_agents},
      {"pgkeels", totals.pgkeels},
      {"with_vip", totals.with_vip},
      {"rounds", rounds.size()},
      {"new_primaries", primary_changes},
      {"standbys_rebuilt_by_the_harness", totals.rebuilt},
      {"acknowledged", totals.acknowledged},
      {"lost", totals.lost},
      {"ghosts", totals.ghosts},
      {"two_primary_moments", totals.two_primary_moments},
      {"late_writes", totals.late_writes},
      {"two_epoch_moments", totals.two_epoch_moments},
      {"two_holder_moments", totals.two_holder_moments},
      {"connects", totals.connects},
      {"connects_failed", totals.connects_failed},
      {"connects_refused_in_turn", totals.connects_refused_in_turn},
      {"unwanted", totals.unwanted},
      {"client_errors", totals.client_errors},
      {"failure", totals.failure.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(totals.failure)},
      {"faults", faults}};
}

}  // namespace pgkeel::chaos
