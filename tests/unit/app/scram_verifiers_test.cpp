#include "proxy/app/scram_verifiers.h"

#include <deque>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

// A server whose monitoring role has the function of setup-sql and no more, which answers one question after the other.
struct Server {
  struct Question {
    std::string sql;
    std::function<void(Result<SqlRows, SqlError>)> done;
  };
  std::deque<Question> questions;
  std::vector<std::string> told;
  ScramVerifiers verifiers{[this](const std::string&, std::string sql, Duration, auto done) {
                             questions.push_back({std::move(sql), std::move(done)});
                           },
                           [this](LogLevel, const std::string&, const std::string& text) { told.push_back(text); }};

  void answer_all() {
    while (!questions.empty()) {
      const Question question = std::move(questions.front());
      questions.pop_front();
      if (question.sql.find("pg_authid") != std::string::npos) {
        question.done(SqlError{"42501", "permission denied for table pg_authid"});
      } else {
        SqlRows rows;
        rows.rows = {{std::nullopt}};
        question.done(rows);
      }
    }
  }
};

}  // namespace

TEST_CASE("questions that come together each find the way that the role has") {
  Server server;
  int readable = 0;
  for (int i = 0; i < 3; ++i) {
    server.verifiers.read("a", "user", [&](const VerifierAnswer& answer) { readable += answer.readable ? 1 : 0; });
  }
  server.answer_all();
  CHECK(readable == 3);
  CHECK(server.told.empty());
  server.verifiers.read("a", "user", [&](const VerifierAnswer& answer) { readable += answer.readable ? 1 : 0; });
  CHECK(server.questions.size() == 1);
  CHECK(server.questions.front().sql.find("pgkeel.scram_verifier") != std::string::npos);
}
