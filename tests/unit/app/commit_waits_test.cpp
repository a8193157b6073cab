#include "proxy/app/commit_waits.h"

#include <optional>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

using Rows = Result<SqlRows, SqlError>;

// A node that answers when the test says so.
struct Nodes {
  struct Statement {
    std::string node;
    std::string sql;
    std::function<void(Rows)> done;
  };
  std::vector<Statement> statements;
  std::vector<bool> answers;

  CommitWaits waits{[this](const std::string& node, std::string sql, Duration, std::function<void(Rows)> done) {
    statements.push_back({node, std::move(sql), std::move(done)});
  }};

  void ask(const std::string& node, std::uint32_t process_id) {
    waits.may_cancel(node, process_id, [this](bool may_cancel) { answers.push_back(may_cancel); });
  }
  void answer(std::size_t statement, std::vector<std::string> process_ids) {
    SqlRows rows;
    for (auto& process_id : process_ids) rows.rows.push_back({std::move(process_id)});
    statements.at(statement).done(rows);
  }
};

bool asks_for(const std::string& sql, const std::string& process_ids) {
  return sql.find("'{" + process_ids + "}'") != std::string::npos;
}

}  // namespace

TEST_CASE("a backend may be cancelled when the node lists it") {
  Nodes nodes;
  nodes.ask("a", 10);
  REQUIRE(nodes.statements.size() == 1);
  CHECK(nodes.statements[0].node == "a");
  CHECK(asks_for(nodes.statements[0].sql, "10"));
  nodes.answer(0, {"10"});
  nodes.ask("a", 11);
  nodes.answer(1, {});
  nodes.ask("a", 1);
  nodes.answer(2, {"11"});
  CHECK(nodes.answers == std::vector{true, false, false});
}

TEST_CASE("no answer of the node is no") {
  Nodes nodes;
  nodes.ask("a", 10);
  nodes.statements.at(0).done(SqlError{"", "no answer in time"});
  CHECK(nodes.answers == std::vector{false});
}

TEST_CASE("however many ask, one statement is under way on a node, and the next one is about all of them") {
  Nodes nodes;
  nodes.ask("a", 10);
  nodes.ask("a", 11);
  nodes.ask("a", 12);
  nodes.ask("a", 11);
  nodes.ask("b", 20);
  REQUIRE(nodes.statements.size() == 2);
  CHECK(nodes.statements[1].node == "b");
  nodes.answer(0, {"10"});
  CHECK(nodes.answers == std::vector{true});
  REQUIRE(nodes.statements.size() == 3);
  CHECK(asks_for(nodes.statements[2].sql, "11,12,11"));
  nodes.answer(2, {"11"});
  CHECK(nodes.answers == std::vector{true, true, false, true});
  CHECK(nodes.statements.size() == 3);
}

TEST_CASE("an answer that comes when nobody waits any more is dropped") {
  std::function<void(Rows)> done;
  bool answered = false;
  {
    CommitWaits waits([&](const std::string&, const std::string&, Duration, std::function<void(Rows)> call) {
      done = std::move(call);
    });
    waits.may_cancel("a", 10, [&](bool) { answered = true; });
  }
  done(SqlRows{});
  CHECK_FALSE(answered);
}
