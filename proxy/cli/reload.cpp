#include "proxy/cli/reload.h"

#include <iostream>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "config/parse.h"
#include "config/problem.h"
#include "proxy/admin/reload_answer.h"
#include "proxy/admin/token_file.h"
#include "proxy/cli/admin_client.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/cli/terminal.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr Duration kReloadLimit = 30s;  // TLS files are read, names looked up

std::string change_line(const Json& change) {
  const std::string kind = change.at("kind").get<std::string>();
  std::string line = "  " + change.at("key").get<std::string>() + ": ";
  if (kind == "added") return line + "added: " + change.at("after").get<std::string>() + "\n";
  if (kind == "removed") return line + "removed\n";
  line += change.at("before").get<std::string>() + " -> " + change.at("after").get<std::string>();
  const std::string in_force = change.at("in_force").get<std::string>();
  if (in_force == "restart") line += "  (waits for a restart)";
  if (in_force == "new connections") line += "  (for new connections)";
  return line + "\n";
}

std::string headline(const Json& answer) {
  const std::string file = answer.at("file").get<std::string>();
  const bool preview = answer.at("preview").get<bool>();
  const std::size_t count = answer.at("changes").size();
  if (!answer.at("accepted").get<bool>())
    return fmt::format("{}: {} refused, nothing has changed:\n", file,
                       preview ? "a reload would be" : "the reload was");
  if (count == 0) return fmt::format("{}: nothing {}\n", file, preview ? "would change" : "has changed");
  // What clients notice all the same is in the notes.
  const std::string_view made = answer.at("notes").empty() ? "made, and no client was dropped for it" : "made";
  return fmt::format("{}: {} change{} {}:\n", file, count, count == 1 ? "" : "s", preview ? "would be made" : made);
}

}  // namespace

Result<ReloadText> reload_text(const std::string& answer_json) {
  const Json answer = Json::parse(answer_json, nullptr, false);
  try {
    ReloadText text;
    text.accepted = answer.at("accepted").get<bool>();
    text.changes = answer.at("changes").size();
    text.lines = headline(answer);
    if (text.accepted) {
      for (const auto& change : answer.at("changes")) text.lines += change_line(change);
      for (const auto& note : answer.at("notes")) text.lines += "  note: " + note.get<std::string>() + "\n";
    } else {
      for (const auto& problem : answer.at("problems")) text.lines += "  " + problem.get<std::string>() + "\n";
    }
    return text;
  } catch (const Json::exception& problem) {
    return Error{std::string("the answer is not what this pgkeel expects: ") + problem.what()};
  }
}

std::string refused_here_json(const ReloadOptions& options, std::vector<std::string> problems) {
  ReloadAnswer answer;
  answer.file = options.config_path;
  answer.problems = std::move(problems);
  return reload_answer_json(answer, options.dry_run);
}

int run_reload(const ReloadOptions& options) {
  // What is wrong before the running pgkeel is asked.
  const auto refuse = [&](std::vector<std::string> problems, const std::string& why) {
    if (options.json) std::cout << refused_here_json(options, std::move(problems)) << std::flush;
    return fail(why);
  };
  const auto config = load_config(options.config_path);
  if (!config) {
    tell_problems(options.config_path, config.error());
    return refuse(problem_lines(config.error()),
                  "nothing has changed: the running pgkeel goes on with the configuration that it has");
  }
  const auto token = read_token(config->admin.token_file);
  if (!token) return refuse({token.error().message}, token.error().message);
  const auto ask = [&](bool preview) {
    return post_admin(*config, "/api/v1/reload", Json{{"preview", preview}}.dump(), *token, kReloadLimit);
  };
  // What would be refused needs no question, and is refused.
  if (!options.dry_run && !options.yes && !options.json && is_terminal(STDIN_FILENO)) {
    const auto preview = ask(true);
    const auto expected = preview ? reload_text(*preview) : Result<ReloadText>(preview.error());
    if (!expected) return refuse({expected.error().message}, expected.error().message);
    if (expected->accepted && expected->changes > 0) {
      std::cout << expected->lines;
      if (!is_told_to_go_on()) return fail("nothing was done");
    }
  }
  const auto answer = ask(options.dry_run);
  if (!answer) return refuse({answer.error().message}, answer.error().message);
  const auto text = reload_text(*answer);
  if (!text) return refuse({text.error().message}, text.error().message);
  if (options.json) std::cout << *answer << std::flush;
  if (!text->accepted)
    std::cerr << "pgkeel: " << text->lines;
  else if (!options.json)
    std::cout << text->lines << std::flush;
  return text->accepted ? kExitDone : kExitRefused;
}

}  // namespace pgkeel
