#include "proxy/app/scram_verifiers.h"

#include <utility>

#include "proxy/base/sql_quote.h"
#include "proxy/io/scram_keys.h"

namespace pgkeel {
namespace {

constexpr Duration kAnswerLimit = std::chrono::seconds(2);

// SQLSTATEs.
constexpr std::string_view kMayNot = "42501";
constexpr std::string_view kNoSuchFunction = "42883";
constexpr std::string_view kNoSuchSchema = "3F000";
constexpr std::string_view kNoText = "22021";  // a name that is none in the server's encoding

std::string statement(bool by_function, const std::string& user) {
  if (by_function) return "SELECT pgkeel.scram_verifier(" + quote_literal(user) + ")";
  return "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = " + quote_literal(user);
}

VerifierAnswer answer_of(SqlRows& rows) {
  VerifierAnswer answer{.readable = true};
  if (rows.rows.empty() || rows.rows.front().empty() || !rows.rows.front().front()) return answer;
  std::string& text = *rows.rows.front().front();
  if (const auto verifier = parse_scram_verifier(text))
    answer.verifier = std::make_shared<const ScramVerifier>(*verifier);
  wipe(text);
  return answer;
}

}  // namespace

void ScramVerifiers::read(const std::string& node, const std::string& user, VerifierSink sink) {
  ask(node, user, nodes_[node].way, 1, std::move(sink));
}

void ScramVerifiers::ask(const std::string& node, const std::string& user, Way way, int tried, VerifierSink sink) {
  run_sql_(node, statement(way == Way::kFunction, user), kAnswerLimit,
           [this, node, user, way, tried, sink = std::move(sink),
            alive = std::weak_ptr<bool>(alive_)](Result<SqlRows, SqlError> rows) {
             if (alive.expired()) return;
             // Rights may have been given or taken: whoever may not do the one may still do the other. Other questions
             // may have found the way meanwhile: that says nothing of this one.
             const bool missing =
                 !rows && (rows.error().sqlstate == kMayNot || rows.error().sqlstate == kNoSuchFunction ||
                           rows.error().sqlstate == kNoSuchSchema);
             if (missing && tried == 1) {
               const Way other = way == Way::kCatalog ? Way::kFunction : Way::kCatalog;
               ask(node, user, other, tried + 1, sink);
               return;
             }
             answered(node, way, std::move(rows), sink);
           });
}

void ScramVerifiers::answered(const std::string& name, Way way, Result<SqlRows, SqlError> rows,
                              const VerifierSink& sink) {
  Node& node = nodes_[name];
  if (rows) {
    node.way = way;
    if (std::exchange(node.missing_right_told, false)) tell_(LogLevel::kInfo, name, "SCRAM verifiers can be read");
    sink(answer_of(*rows));
    return;
  }
  if (rows.error().sqlstate == kNoText) {
    sink({.readable = true});
    return;
  }
  const bool missing = rows.error().sqlstate == kMayNot || rows.error().sqlstate == kNoSuchFunction ||
                       rows.error().sqlstate == kNoSuchSchema;
  const std::string problem =
      missing ? "pgkeel may not read SCRAM verifiers on server \"" + name + "\" (run `pgkeel setup-sql` there)"
              : "the verifier could not be read on server \"" + name + "\": " + rows.error().message;
  if (missing && !std::exchange(node.missing_right_told, true)) {
    tell_(LogLevel::kWarning, name,
          "the monitoring role may not read SCRAM verifiers, and clients with TLS that want channel binding cannot log "
          "in; run the output of `pgkeel setup-sql` on the primary");
  }
  sink({.readable = false, .problem = problem});
}

}  // namespace pgkeel
