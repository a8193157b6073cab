#include "tests/drivers/table.h"

#include <algorithm>

#include <fmt/format.h>

namespace pgkeel::test {
namespace {

using Json = nlohmann::json;

bool contains(const Json& list, const std::string& text) {
  return std::ranges::any_of(list, [&](const Json& entry) { return entry == text; });
}

bool mentions(const Json& answer, std::initializer_list<const char*> fields, const std::string& text) {
  return std::ranges::any_of(
      fields, [&](const char* field) { return answer.value(field, "").find(text) != std::string::npos; });
}

// What is left of pgkeel's error.
std::string shown_of(const Json& answer) {
  std::vector<std::string> shown;
  if (mentions(answer, {"message"}, "terminating connection")) shown.emplace_back("message");
  if (mentions(answer, {"message", "detail"}, "outcome of the current statement or transaction is unknown"))
    shown.emplace_back("DETAIL");
  if (mentions(answer, {"message", "hint"}, "same address")) shown.emplace_back("HINT");
  return shown.empty() ? "nothing" : fmt::format("{}", fmt::join(shown, ", "));
}

void judge_report(const Applications& applications, const std::string& what, ClientState state, const Json& answer,
                  std::vector<std::string>& unexpected) {
  const Driver& driver = *applications.driver;
  const auto complain = [&](const std::string& about) {
    unexpected.push_back(fmt::format("{}, {}, {}: {}: {}", driver.name, what, key_of(state), about, answer.dump()));
  };
  const std::string report = report_of(answer);
  const Json& expected = driver.cells[key_of(state)];
  if (!contains(expected, report)) complain(fmt::format("\"{}\" is not among {}", report, expected.dump()));
  const bool copies = state == ClientState::kCopyOut || state == ClientState::kCopyIn;
  if (!answer.value("broken", false) && (!copies || driver.notices_end_in_copy))
    complain("the driver takes the session for usable");
  if (state != ClientState::kBusy) return;
  if (!contains(expected, report_of(applications.direct_report)))
    complain(fmt::format("a server itself gives \"{}\"", report_of(applications.direct_report)));
  if (shown_of(answer) != driver.shows) complain(fmt::format("it shows {} of pgkeel's error", shown_of(answer)));
}

std::string cell_of(const Applications& applications, ClientState state) {
  std::vector<std::string> texts;
  for (const auto& [what, reports] : applications.reports) {
    const auto report = reports.find(state);
    if (report == reports.end() || (state == ClientState::kConnecting && what != "no route")) continue;
    const std::string text = report_of(report->second);
    if (std::ranges::find(texts, text) == texts.end()) texts.push_back(text);
  }
  return texts.empty() ? "-" : fmt::format("{}", fmt::join(texts, " or "));
}

std::string pool_cell_of(const Applications& applications) {
  if (applications.driver->pool_name.empty()) return "-";
  int failed = 0;
  for (const auto& [what, use] : applications.pool_uses) failed = std::max(failed, use.value("failed", 0));
  return fmt::format("{}: {}", applications.driver->pool_name,
                     failed == 0 ? "no error" : "each stale connection fails once, then recovers");
}

}  // namespace

std::vector<std::string> unexpected_in(const std::deque<Applications>& all) {
  std::vector<std::string> unexpected;
  for (const auto& applications : all) {
    const std::string& name = applications.driver->name;
    for (const auto& [what, reports] : applications.reports) {
      for (const auto& [state, answer] : reports) {
        // In all but "no route" that application is one more idle one.
        const bool as_idle = state == ClientState::kConnecting && what != "no route";
        judge_report(applications, what, as_idle ? ClientState::kIdle : state, answer, unexpected);
      }
    }
    for (const auto& [what, answers] : applications.connected_again) {
      for (const auto& [state, answer] : answers) {
        if (!answer.value("ok", false))
          unexpected.push_back(
              fmt::format("{}, {}, {}: does not connect: {}", name, what, key_of(state), answer.dump()));
      }
    }
    // Many drivers ask the server something as soon as they are logged in, and that may be when the sessions end: as
    // for any other session, once, and never while pgkeel holds clients.
    const auto failed = applications.connects.value_or(Connects{}).failed;
    for (const auto& answer : failed) {
      const bool was_logged_in = contains(applications.driver->cells[key_of(ClientState::kIdle)], report_of(answer));
      if (!was_logged_in || failed.size() > 1)
        unexpected.push_back(fmt::format("{}, switchover: a connect failed: {}", name, answer.dump()));
    }
    for (const auto& [what, use] : applications.pool_uses) {
      if (!use.value("ok", false) || use.value("failed", 0) > applications.driver->pool_failures_max)
        unexpected.push_back(fmt::format("{}, {}: the pool does not recover as it should: {}", name, what, use.dump()));
    }
  }
  return unexpected;
}

std::string markdown_of(const std::deque<Applications>& all) {
  std::string text = "| driver |";
  std::string rule = "| --- |";
  for (const auto state : kClientStates) {
    text += fmt::format(" {} |", title_of(state));
    rule += " --- |";
  }
  text += " a query runs, a server's own 57P01 | of pgkeel's error it shows | pool, after the route changed |\n" +
          rule + " --- | --- | --- |\n";
  for (const auto& applications : all) {
    text += fmt::format("| {} |", applications.driver->version);
    for (const auto state : kClientStates) text += fmt::format(" {} |", cell_of(applications, state));
    text += fmt::format(" {} | {} | {} |\n", report_of(applications.direct_report), applications.driver->shows,
                        pool_cell_of(applications));
  }
  int connects = 0;
  std::size_t failed = 0;
  for (const auto& applications : all) {
    if (!applications.connects) continue;
    connects += applications.connects->made;
    failed += applications.connects->failed.size();
  }
  text += fmt::format(
      "\nConnects in the course of the planned switchover: {}; of these sessions {} ended right behind the login, "
      "before their driver had set them up.\n",
      connects, failed);
  return text;
}

}  // namespace pgkeel::test
