#include <doctest/doctest.h>

#include "proxy/admin/reload_answer.h"
#include "proxy/cli/reload.h"

using namespace pgkeel;

namespace {

std::string text_of(const ReloadAnswer& answer, bool preview = false) {
  return reload_text(reload_answer_json(answer, preview)).value().lines;
}

std::string text_of_json(const std::string& json) {
  return reload_text(json).value().lines;
}

}  // namespace

TEST_CASE("what a reload changed, one line each") {
  ReloadAnswer answer;
  answer.file = "/f";
  answer.accepted = true;
  CHECK(text_of(answer) == "/f: nothing has changed\n");
  CHECK(text_of(answer, true) == "/f: nothing would change\n");
  answer.changes = {
      {.path = "proxy.workers", .before = "0", .after = "3", .effect = ReloadEffect::kRestart},
      {.path = "cluster.c.allow", .before = "[]", .after = "[\"::/0\"]", .effect = ReloadEffect::kNewConnections},
      {.kind = ConfigChange::Kind::kAdded, .path = "cluster.c.node.d", .before = "", .after = "{ name = \"d\" }"},
      {.kind = ConfigChange::Kind::kRemoved, .path = "cluster.d", .before = "{ }", .after = ""}};
  answer.notes = {"a note"};
  CHECK(text_of(answer) ==
        R"(/f: 4 changes made:
  proxy.workers: 0 -> 3  (waits for a restart)
  cluster.c.allow: [] -> ["::/0"]  (for new connections)
  cluster.c.node.d: added: { name = "d" }
  cluster.d: removed
  note: a note
)");
  CHECK(text_of(answer, true).starts_with("/f: 4 changes would be made:\n"));
  answer.notes.clear();
  CHECK(text_of(answer).starts_with("/f: 4 changes made, and no client was dropped for it:\n"));
}

TEST_CASE("a refusal tells all reasons, and changes nothing") {
  ReloadAnswer answer;
  answer.file = "/f";
  answer.problems = {"/f:1:1: one", "two"};
  CHECK(text_of(answer) == "/f: the reload was refused, nothing has changed:\n  /f:1:1: one\n  two\n");
  CHECK_FALSE(reload_text(reload_answer_json(answer, false)).value().accepted);
}

TEST_CASE("an answer that is none") {
  CHECK_FALSE(reload_text("[]"));
  CHECK_FALSE(reload_text("{\"accepted\": 1}"));
  CHECK_FALSE(reload_text(""));
}

TEST_CASE("the body of the request") {
  CHECK_FALSE(parse_reload_preview("").value());
  CHECK(parse_reload_preview("{\"preview\": true}").value());
  CHECK_FALSE(parse_reload_preview("{\"preview\": 1}"));
  CHECK_FALSE(parse_reload_preview("{\"other\": true}"));
  CHECK_FALSE(parse_reload_preview("[]"));
}

TEST_CASE("what is refused before pgkeel is asked is JSON as well") {
  ReloadOptions options;
  options.config_path = "/f";
  options.dry_run = true;
  const std::string json = refused_here_json(options, {"/f:1:1: one"});
  CHECK(text_of_json(json) == "/f: a reload would be refused, nothing has changed:\n  /f:1:1: one\n");
}
