#include "proxy/cli/command_line.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "proxy/cli/completion.h"
#include "proxy/cli/terminal.h"
#include "proxy/cli/usage.h"

using namespace pgkeel;

namespace {

constexpr const char* kExampleConfig = PGKEEL_SOURCE_DIR "/config/example.toml";

constexpr const char* kName = "pgkeel proxy";  // in a certificate, not a command

using Words = std::vector<std::string>;

// What a shell would hand to pgkeel of this line; placeholders stand for themselves, `[--to NODE]` is taken as given,
// and of `on|off` the first.
Words words_of(std::string line) {
  line = line.substr(0, line.find(" #"));
  for (const char* end : {" | ", " > ", " && ", " 2>", "; "}) line = line.substr(0, line.find(end));
  std::erase_if(line, [](char c) { return c == '[' || c == ']' || c == '`' || c == '"' || c == '\''; });
  std::istringstream stream(line);
  Words words;
  for (std::string word; stream >> word;) {
    if (word == "…" || word == "...") continue;
    words.push_back(word.substr(0, word.find('|')));
  }
  if (!words.empty()) words.erase(words.begin());
  return words;
}

bool lacks_something(const std::string& problem) {
  return problem.find(" is required; ") != std::string::npos || problem.find("requires") != std::string::npos;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::filesystem::path> documents() {
  std::vector<std::filesystem::path> paths;
  for (const auto* folder : {"", "/deploy", "/deploy/docs", "/replication", "/proxy", "/replication/agent", "/health",
                             "/config", "/replication/readiness"}) {
    std::error_code not_there;
    for (const auto& entry : std::filesystem::directory_iterator(PGKEEL_SOURCE_DIR + std::string(folder), not_there)) {
      if (entry.path().extension() == ".md") paths.push_back(entry.path());
    }
  }
  return paths;
}

// Lines of code blocks that begin with pgkeel, and what stands between backquotes in the text.
struct Commands {
  std::vector<std::string> whole;
  std::vector<std::string> mentioned;
};

Commands commands_in(const std::string& text) {
  Commands commands;
  std::istringstream stream(text);
  bool in_block = false;
  for (std::string line; std::getline(stream, line);) {
    if (const auto begin = line.find_first_not_of(' '); begin != std::string::npos) line.erase(0, begin);
    if (line.starts_with("```")) {
      in_block = !in_block;
    } else if (in_block) {
      if (line.starts_with("sudo ")) line.erase(0, 5);
      if (line.starts_with("pgkeel ")) commands.whole.push_back(line);
    } else {
      for (std::size_t at = line.find('`'); at != std::string::npos;) {
        const auto end = line.find('`', at + 1);
        if (end == std::string::npos) break;
        const auto code = line.substr(at + 1, end - at - 1);
        const bool a_verb = code.starts_with("pgkeel ") && code.size() > 7 && code[7] >= 'a' && code[7] <= 'z';
        if (a_verb && code != kName) commands.mentioned.push_back(code);
        at = line.find('`', end + 1);
      }
    }
  }
  return commands;
}

}  // namespace

TEST_CASE("a wrong command line gets one line that says what is wrong and what to do") {
  const auto problem = [](const Words& words) { return problem_of_arguments(words); };
  CHECK(problem({}) == "pgkeel: a verb is missing; pgkeel --help lists them");
  CHECK(problem({"explode"}) == "pgkeel: there is no verb explode; pgkeel --help lists them");
  CHECK(problem({"swichover"}) ==
        "pgkeel: there is no verb swichover; did you mean switchover? pgkeel --help lists them");
  CHECK(problem({"switchover"}) == "pgkeel switchover: CLUSTER is required; see: pgkeel switchover --help");
  CHECK(problem({"switchover", "o", "--too", "b"}) ==
        "pgkeel switchover: there is no option --too; did you mean --to? see: pgkeel switchover --help");
  CHECK(problem({"status", "orders"}) == "pgkeel status: orders is one argument too many; see: pgkeel status --help");
  CHECK(problem({"status", "--jsn"}) ==
        "pgkeel status: there is no option --jsn; did you mean --json? see: pgkeel status --help");
  CHECK(problem({"serve", "--adopt"}) == "pgkeel serve: --adopt needs a value; see: pgkeel serve --help");
  CHECK(problem({"switchover", "orders", "--to", "b"}).empty());
  CHECK(problem({"--help"}).empty());
}

TEST_CASE("every verb has examples, and each is a command line that pgkeel takes") {
  for (const auto& verb : verbs_without_examples())
    FAIL_CHECK("add examples of `pgkeel " << verb << "` to kExamples in proxy/cli/usage.cpp");
  for (const auto& verb : completions_of({""})) {
    std::istringstream lines{std::string(verb_examples(verb))};
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      if (line.starts_with("  source <(")) line.erase(0, 11);
      std::erase(line, ')');
      CHECK(problem_of_arguments(words_of(line)) == "");
    }
  }
}

TEST_CASE("every command in the documents is one that pgkeel takes") {
  std::size_t seen = 0;
  for (const auto& path : documents()) {
    CAPTURE(path.string());
    const auto [whole, mentioned] = commands_in(read_file(path));
    for (const auto& command : whole) {
      CAPTURE(command);
      CHECK(problem_of_arguments(words_of(command)) == "");
    }
    for (const auto& command : mentioned) {
      CAPTURE(command);
      const auto problem = problem_of_arguments(words_of(command));
      CHECK((problem.empty() || lacks_something(problem)));
    }
    seen += whole.size() + mentioned.size();
  }
  CHECK(seen > 40);
}

TEST_CASE("the Tab key offers verbs, options, and the names of the configuration") {
  CHECK(completions_of({"sw"}) == Words{"switchover"});
  const auto verbs = completions_of({""});
  CHECK(std::ranges::find(verbs, "failover") != verbs.end());
  CHECK(std::ranges::find(verbs, "manual") == verbs.end());
  CHECK(completions_of({"rejoin", "--config", kExampleConfig, ""}) == Words{"orders"});
  CHECK(completions_of({"rejoin", "--config", kExampleConfig, "orders", ""}) == Words{"a", "b"});
  CHECK(completions_of({"rejoin", "--config", kExampleConfig, "payments", ""}).empty());
  CHECK(completions_of({"switchover", "--config", kExampleConfig, "orders", "--to", ""}) == Words{"a", "b"});
  CHECK(completions_of({"switchover", std::string("--config=") + kExampleConfig, "orders", "--to=b"}) == Words{"b"});
  CHECK(completions_of({"switchover", "--config", "=", kExampleConfig, "orders", "--to", "="}) == Words{"a", "b"});
  CHECK(completions_of({"status", "--config", ""}) == Words{":file"});
  CHECK(completions_of({"keygen", "--out", "k"}) == Words{":folder"});
  CHECK(completions_of({"completion", ""}) == Words{"bash", "zsh", "fish"});
  CHECK(completions_of({"status", "--w"}) == Words{"--watch"});
  CHECK(completions_of({"status", "--watch", "--w"}).empty());
  CHECK(completions_of({"keygen", "--agent", "h", "--ag"}) == Words{"--agent"});
  CHECK(completions_of({"explode", "--", "="}).empty());
  CHECK(completions_of({}).empty());
}

TEST_CASE("colours are put around a text only where they are wanted") {
  CHECK(Painter(true)(Paint::kBad, "no route") == "\033[31mno route\033[0m");
  CHECK(Painter(true)(Paint::kPlain, "a") == "a");
  CHECK(Painter(false)(Paint::kBad, "no route") == "no route");
  CHECK(as_screen("a\nb\n", {24, 80}) == "\033[Ha\033[K\nb\033[K\n\033[J");
  CHECK(as_screen("a\nb\n", {3, 80}) == "\033[Ha\033[K\nb\033[K\n\033[J");
  CHECK(as_screen("a\nb\nc\n", {3, 80}) == "\033[Ha\033[K\nb\033[K\n... 1 more\033[K\033[J");
  CHECK(as_screen("123456\nb\nc\n", {3, 5}) == "\033[H123456\033[K\n... 2 more\033[K\033[J");
  // Colours take no column, nor does a character of two bytes more than one.
  CHECK(as_screen("\033[32m12345\033[0m\n1\u00b54\n", {3, 5}).find("more") == std::string::npos);
  CHECK(as_screen("123456\n", {1, 5}) == "\033[H... 1 more\033[K\033[J");
}
