#include "proxy/app/scram_verifiers.h"

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

// A server whose monitoring role has the function of setup-sql and no more, which answers one statement after the
// other.
struct Server {
  struct Statement {
    std::string sql;
    std::function<void(Result<SqlRows, SqlError>)> done;
  };
  std::deque<Statement> under_way;
  std::size_t statements = 0;
  bool role_is_superuser = false;
  std::vector<std::string> told;
  ScramVerifiers verifiers{[this](const std::string&, std::string sql, Duration, auto done) {
                             under_way.push_back({std::move(sql), std::move(done)});
                             ++statements;
                           },
                           [this](LogLevel, const std::string&, const std::string& text) { told.push_back(text); }};

  void answer_one() {
    const Statement statement = std::move(under_way.front());
    under_way.pop_front();
    if (statement.sql.find("\xff") != std::string::npos) {
      statement.done(SqlError{"22021", "invalid byte sequence for encoding"});
    } else if (!role_is_superuser && statement.sql.find("pg_authid") != std::string::npos) {
      statement.done(SqlError{"42501", "permission denied for table pg_authid"});
    } else {
      statement.done(rows_for(statement.sql));
    }
  }
  void answer_all() {
    while (!under_way.empty()) {
      CHECK(under_way.size() == 1);
      answer_one();
    }
  }
  // Of the names in the array, which are all that is quoted, those that begin with "known" have a password.
  static SqlRows rows_for(const std::string& sql) {
    SqlRows rows;
    std::size_t number = 0;
    for (std::size_t at = sql.find('\''); at != std::string::npos; at = sql.find('\'', at + 1)) {
      const std::size_t end = sql.find('\'', at + 1);
      ++number;
      if (sql.substr(at + 1, end - at - 1).starts_with("known"))
        rows.rows.push_back({std::to_string(number), std::string(kVerifier)});
      at = end;
    }
    return rows;
  }

  static constexpr std::string_view kVerifier =
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
};

struct Answers {
  int readable = 0;
  int unreadable = 0;
  int with_verifier = 0;

  VerifierSink sink() {
    return [this](const VerifierAnswer& answer) {
      ++(answer.readable ? readable : unreadable);
      if (answer.verifier) ++with_verifier;
    };
  }
};

}  // namespace

TEST_CASE("questions that come together each find the way that the role has") {
  Server server;
  Answers answers;
  for (int i = 0; i < 3; ++i) server.verifiers.read("a", "user", answers.sink());
  server.answer_all();
  CHECK(answers.readable == 3);
  CHECK(server.told.empty());
  server.verifiers.read("a", "user", answers.sink());
  CHECK(server.under_way.size() == 1);
  CHECK(server.under_way.front().sql.find("pgkeel.scram_verifier") != std::string::npos);
}

TEST_CASE("however many log in at once, one statement is under way, and the next one is about all who came meanwhile") {
  Server server;
  server.role_is_superuser = true;
  Answers answers;
  for (int i = 0; i < 5000; ++i)
    server.verifiers.read("a", (i % 2 == 0 ? "known" : "stranger") + std::to_string(i % 10), answers.sink());
  server.answer_all();
  CHECK(server.statements == 2);
  CHECK(answers.readable == 5000);
  CHECK(answers.with_verifier == 2500);
}

TEST_CASE("many users are asked for in statements of bounded size, and each gets its own answer") {
  Server server;
  server.role_is_superuser = true;
  Answers known, unknown;
  for (int i = 0; i < 1000; ++i) {
    server.verifiers.read("a", "known" + std::to_string(i), known.sink());
    server.verifiers.read("a", "stranger" + std::to_string(i), unknown.sink());
  }
  server.answer_all();
  CHECK(server.statements <= 6);
  CHECK(known.with_verifier == 1000);
  CHECK(unknown.readable == 1000);
  CHECK(unknown.with_verifier == 0);
}

TEST_CASE("a name that is no text to the server spoils nobody else's login") {
  Server server;
  server.role_is_superuser = true;
  Answers known, spoilt;
  server.verifiers.read("a", "known", known.sink());
  for (int i = 0; i < 100; ++i) server.verifiers.read("a", "known" + std::to_string(i), known.sink());
  server.verifiers.read("a", "k\xff", spoilt.sink());
  server.answer_all();
  CHECK(known.with_verifier == 101);
  CHECK(spoilt.readable == 1);
  CHECK(spoilt.with_verifier == 0);
  CHECK(server.statements < 20);
}

TEST_CASE("where the server does not answer all who wait are told, and the next ones are asked for anew") {
  Server server;
  Answers answers;
  server.verifiers.read("a", "known1", answers.sink());
  server.verifiers.read("a", "known2", answers.sink());
  server.under_way.front().done(SqlError{"", "no answer within 2s"});
  server.under_way.pop_front();
  CHECK(answers.unreadable == 1);
  server.role_is_superuser = true;
  server.answer_all();
  CHECK(answers.with_verifier == 1);
}
