#include "proxy/app/scram_verifiers.h"

#include <iterator>
#include <optional>
#include <utility>

#include "proxy/base/sql_quote.h"
#include "proxy/io/scram_keys.h"

namespace pgkeel {
namespace {

constexpr Duration kVerifierLimit = std::chrono::seconds(2);
constexpr std::size_t kUsersMax = 500;  // in one statement

// SQLSTATEs.
constexpr std::string_view kMayNot = "42501";
constexpr std::string_view kNoSuchFunction = "42883";
constexpr std::string_view kNoSuchSchema = "3F000";
constexpr std::string_view kNoText = "22021";  // a name that is none in the server's encoding

bool is_missing_right(const SqlError& error) {
  return error.sqlstate == kMayNot || error.sqlstate == kNoSuchFunction || error.sqlstate == kNoSuchSchema;
}

// Its rows: the number of a user, and what is stored of it.
template <class Users>
std::string statement(bool by_function, const Users& users) {
  std::string names;
  for (const auto& [user, sinks] : users) names += (names.empty() ? "" : ", ") + quote_literal(user);
  const std::string asked = "pg_catalog.unnest(ARRAY[" + names + "]) WITH ORDINALITY AS asked(name, number)";
  if (by_function) return "SELECT asked.number, pgkeel.scram_verifier(asked.name) FROM " + asked;
  return "SELECT asked.number, rolpassword FROM " + asked + " JOIN pg_catalog.pg_authid ON rolname = asked.name";
}

VerifierAnswer answer_of(const std::optional<std::string>& stored) {
  VerifierAnswer answer{.readable = true};
  if (!stored) return answer;
  if (const auto verifier = parse_scram_verifier(*stored))
    answer.verifier = std::make_shared<const ScramVerifier>(*verifier);
  return answer;
}

template <class Sinks>
void tell_all(const Sinks& sinks, const VerifierAnswer& answer) {
  for (const auto& sink : sinks) sink(answer);
}

}  // namespace

void ScramVerifiers::read(const std::string& node, const std::string& user, VerifierSink sink) {
  auto& waiting = nodes_[node].waiting;
  if (waiting.empty() || (waiting.back().size() >= kUsersMax && !waiting.back().contains(user))) waiting.emplace_back();
  waiting.back()[user].push_back(std::move(sink));
  if (!nodes_[node].is_asked) ask_next(node);
}

void ScramVerifiers::ask_next(const std::string& name) {
  Node& node = nodes_[name];
  node.is_asked = !node.waiting.empty();
  if (!node.is_asked) return;
  Users users = std::move(node.waiting.front());
  node.waiting.pop_front();
  ask(name, std::move(users), node.way, 1);
}

void ScramVerifiers::ask(const std::string& name, Users users, Way way, int tried) {
  std::string sql = statement(way == Way::kFunction, users);
  run_sql_(name, std::move(sql), kVerifierLimit,
           [this, name, users = std::move(users), way, tried,
            alive = std::weak_ptr<bool>(alive_)](Result<SqlRows, SqlError> rows) mutable {
             if (!alive.expired()) answered(name, std::move(users), way, tried, std::move(rows));
           });
}

void ScramVerifiers::answered(const std::string& name, Users users, Way way, int tried,
                              Result<SqlRows, SqlError> rows) {
  Node& node = nodes_[name];
  // Rights may have been given or taken: whoever may not do the one may still do the other.
  if (!rows && is_missing_right(rows.error()) && tried == 1)
    return ask(name, std::move(users), way == Way::kCatalog ? Way::kFunction : Way::kCatalog, tried + 1);
  if (!rows && rows.error().sqlstate == kNoText && users.size() > 1) {
    // One name spoils the statement for the others: it is found by halves.
    Users second;
    while (second.size() < users.size()) second.insert(users.extract(std::prev(users.end())));
    node.waiting.push_front(std::move(second));
    node.waiting.push_front(std::move(users));
    return ask_next(name);
  }
  ask_next(name);
  if (rows) {
    node.way = way;
    if (std::exchange(node.missing_right_told, false)) tell_(LogLevel::kInfo, name, "SCRAM verifiers can be read");
    std::map<std::string, std::optional<std::string>> stored;  // by number
    for (auto& row : rows->rows) {
      if (row.size() == 2 && row.front()) stored[*row.front()] = std::move(row.back());
    }
    std::size_t number = 0;
    for (const auto& [user, sinks] : users) tell_all(sinks, answer_of(stored[std::to_string(++number)]));
    for (auto& [place, text] : stored) {
      if (text) wipe(*text);
    }
    return;
  }
  if (rows.error().sqlstate == kNoText) return tell_all(users.begin()->second, {.readable = true});
  const bool missing = is_missing_right(rows.error());
  const std::string problem =
      missing ? "pgkeel may not read SCRAM verifiers on server \"" + name + "\" (run `pgkeel setup-sql` there)"
              : "the verifier could not be read on server \"" + name + "\": " + rows.error().message;
  if (missing && !std::exchange(node.missing_right_told, true)) {
    tell_(LogLevel::kWarning, name,
          "the monitoring role may not read SCRAM verifiers, and clients with TLS that want channel binding cannot log "
          "in; run the output of `pgkeel setup-sql` on the primary");
  }
  for (const auto& [user, sinks] : users) tell_all(sinks, {.readable = false, .problem = problem});
}

}  // namespace pgkeel
