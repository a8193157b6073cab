#include "proxy/cli/usage.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "config/problem.h"

namespace pgkeel {
namespace {

struct Examples {
  std::string_view verb;
  std::string_view lines;
};

constexpr Examples kExamples[] = {
    {"serve",
     "  pgkeel serve                                 # with /etc/pgkeel/pgkeel.toml; what systemd runs\n"
     "  pgkeel serve --config ./pgkeel.toml --adopt a   # first start, where it cannot tell who is the primary\n"},
    {"restart",
     "  pgkeel restart                               # after an upgrade: the new version, with the same connections\n"},
    {"agent", "  pgkeel agent                                 # with /etc/pgkeel/agent.toml; what systemd runs\n"},
    {"demo",
     "  pgkeel demo                                  # a failover on real servers, in about 20 s; nothing is left\n"
     "  pgkeel demo --keep --port 6000               # and leave it running, to try it with psql\n"},
    {"check",
     "  pgkeel check --config ./pgkeel.toml          # before a start or a reload\n"
     "  pgkeel check --live                          # would a failover and a rejoin work now? what mends it?\n"
     "  pgkeel check --live --json | jq '.clusters[].readiness.findings[]'\n"},
    {"setup-sql",
     "  pgkeel setup-sql | psql -U postgres          # on the primary\n"
     "  pgkeel setup-sql --config /etc/pgkeel/pgkeel.toml --cluster orders | psql -U postgres\n"},
    {"keygen",
     "  pgkeel keygen --out keys --agent 10.0.0.1 --agent db2.example,10.0.0.2\n"
     "  pgkeel keygen --out keys --agent 10.0.0.3    # later: one more, by the authority that is there\n"
     "  pgkeel keygen --out keys --proxy 10.0.0.21 --proxy 10.0.0.22    # several pgkeels, which talk to each other\n"
     "  pgkeel keygen --out keys --admin pgkeel.example,10.0.0.5    # for [admin] tls: console, API and metrics\n"},
    {"status",
     "  pgkeel status\n"
     "  pgkeel status --watch                        # again every second, until Ctrl-C\n"
     "  pgkeel status --json | jq -r '.clusters[] | .name + \" \" + .condition'\n"},
    {"events",
     "  pgkeel events\n"
     "  pgkeel events --follow --json | jq -r 'select(.severity == \"error\") | .text'\n"},
    {"decisions",
     "  pgkeel decisions orders                      # why was there a failover, and what took how long?\n"
     "  pgkeel decisions orders --json | jq 'select(.kind == \"failover\")'\n"},
    {"switchover",
     "  pgkeel switchover orders                     # tells what it will do, and asks\n"
     "  pgkeel switchover orders --to b --yes        # in a script: exit status 0 when both nodes are healthy again\n"},
    {"maintenance",
     "  pgkeel maintenance on orders                 # pgkeel watches, and does nothing\n"
     "  pgkeel maintenance on orders b               # b out; mend it; then\n"
     "  pgkeel maintenance off orders b              # b back; then the other: pgkeel switchover orders --to b\n"},
    {"stop", "  pgkeel stop orders --yes && systemctl poweroff\n"},
    {"start", "  pgkeel start orders                          # the same primary, then its standbys\n"},
    {"failover",
     "  pgkeel failover orders                       # the best standby, if no acknowledged commit can be lost\n"
     "  pgkeel failover orders --to b --accept-loss  # the primary is gone for good, and b may lack commits\n"},
    {"rejoin",
     "  pgkeel rejoin orders a                       # by the least that does: start, rewind, or a new copy\n"
     "  pgkeel rejoin orders a --rebuild             # a new copy; the old directory is moved aside\n"},
    {"provision",
     "  pgkeel provision orders b                    # a new host, or one with new disks: tells what it will do, and "
     "asks\n"
     "  pgkeel provision orders b --yes              # in a script: exit status 0 when b is a healthy standby\n"},
    {"resolve",
     "  pgkeel resolve orders --keep b               # what only the others have is set aside first: pgkeel lost\n"},
    {"teardown",
     "  pgkeel teardown orders                       # asks for the name of the cluster\n"
     "  pgkeel teardown orders --name orders         # in a script\n"},
    {"lead",
     "  pgkeel lead                                  # before work on this host; tells what it will do, and asks\n"
     "  pgkeel lead --to right --yes                 # in a script: exit status 0 when that one leads\n"},
    {"lost",
     "  pgkeel lost orders                             # the reports\n"
     "  pgkeel lost orders a-20261024                  # one of them; its name may be cut off\n"
     "  pgkeel lost orders a-20261024 --export ./rows  # as CSV files, and how to bring them back\n"},
    {"reload",
     "  pgkeel reload --dry-run                      # exit status 0: it would be accepted; 1: refused, and why\n"
     "  pgkeel reload                                # what has changed, and what waits for a restart\n"},
    {"completion",
     "  pgkeel completion bash > /usr/share/bash-completion/completions/pgkeel   # the Debian package has it\n"
     "  source <(pgkeel completion zsh)              # for this shell only\n"
     "  pgkeel completion fish > ~/.config/fish/completions/pgkeel.fish\n"},
};

// How the values of options are called in --help, and completed; where a verb means something else by it, with the
// verb. Others are called as their option is.
const std::map<std::string, std::string>& value_names() {
  static const std::map<std::string, std::string> names = {
      {"config", "FILE"},     {"out", "FOLDER"}, {"export", "FOLDER"}, {"to", "NODE"},
      {"keep", "NODE"},       {"adopt", "NODE"}, {"agent", "HOST"},    {"days", "DAYS"},
      {"cluster", "CLUSTER"}, {"port", "PORT"},  {"name", "CLUSTER"},  {"lead to", "MEMBER"},
  };
  return names;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return text;
}

void name_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_expected_max() == 0 || option->get_type_size() == 0) continue;  // a flag
    if (option->get_lnames().empty()) {
      // A positional's name says it, also where it lists the values.
      option->type_name("");
      if (option->get_name().find('|') != std::string::npos && option->get_required()) option->option_text("REQUIRED");
      continue;
    }
    const std::string& name = option->get_lnames().front();
    const auto of_verb = value_names().find(app.get_name() + " " + name);
    const auto known = of_verb != value_names().end() ? of_verb : value_names().find(name);
    option->type_name(known != value_names().end() ? known->second : upper(name));
  }
}

std::vector<CLI::App*> verbs_of(CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

// Ends where the next sentence begins.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::vector<std::string_view> views(candidates.begin(), candidates.end());
  const auto nearest = nearest_name(word, views);
  return nearest.empty() ? "; " : fmt::format("; did you mean {}? ", nearest);
}

std::vector<std::string> option_names(const CLI::App& verb) {
  std::vector<std::string> names;
  for (const CLI::Option* option : verb.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// CLI11 has them in a text only, the last word first.
std::string first_not_expected(const std::string& text) {
  return text.substr(std::min(text.find_last_of(' ') + 1, text.size()));
}

std::string of_verb(const CLI::App& verb, const CLI::ParseError& problem) {
  // A misspelt option is why something else is missing.
  const auto left = verb.remaining(true);
  const auto option = std::ranges::find_if(left, [](const std::string& word) { return word.starts_with('-'); });
  if (option != left.end()) return "there is no option " + *option + did_you_mean(*option, option_names(verb));
  std::string text = problem.what();
  if (problem.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    const auto word = first_not_expected(text);
    if (word.starts_with('-')) return "there is no option " + word + did_you_mean(word, option_names(verb));
    return word + " is one argument too many; ";
  }
  if (problem.get_name() == "ArgumentMismatch") text = text.substr(0, text.find(':')) + " needs a value";
  return text + "; ";
}

}  // namespace

std::string_view verb_examples(std::string_view verb) {
  const auto found = std::ranges::find(kExamples, verb, &Examples::verb);
  return found == std::end(kExamples) ? std::string_view() : found->lines;
}

std::vector<std::string> verbs_without_examples(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : verbs_of(app)) {
    if (verb_examples(verb->get_name()).empty()) names.push_back(verb->get_name());
  }
  return names;
}

void complete_model(CLI::App& app) {
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.footer(
      "pgkeel VERB --help says more of a verb, with examples. Exit status: 0 done, 1 refused or failed (one line on\n"
      "stderr says why and what to do), 2 wrong usage. See also: man pgkeel, man pgkeel.toml.");
  for (CLI::App* verb : verbs_of(app)) {
    verb->group("Verbs");
    name_values(*verb);
    for (CLI::App* part : verbs_of(*verb)) name_values(*part);
    const auto lines = verb_examples(verb->get_name());
    if (lines.empty()) continue;
    const std::string prose = verb->get_footer();
    verb->footer(
        fmt::format("{}{}{}{}", prose, prose.empty() ? "" : "\n\n", kExamplesTitle, lines.substr(0, lines.size() - 1)));
  }
}

std::string usage_problem(const CLI::App& app, const std::vector<std::string>& words, const CLI::ParseError& problem) {
  if (words.empty()) return "pgkeel: a verb is missing; pgkeel --help lists them";
  std::vector<std::string> names;
  for (const CLI::App* verb : verbs_of(app)) names.push_back(verb->get_name());
  const auto known = app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == words.front(); });
  if (known.empty()) {
    const char* what = words.front().starts_with('-') ? "option" : "verb";
    return fmt::format("pgkeel: there is no {} {}{}pgkeel --help lists them", what, words.front(),
                       did_you_mean(words.front(), names));
  }
  return fmt::format("pgkeel {}: {}see: pgkeel {} --help", words.front(), of_verb(*known.front(), problem),
                     words.front());
}

}  // namespace pgkeel
