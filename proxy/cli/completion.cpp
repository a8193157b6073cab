#include "proxy/cli/completion.h"

#include <algorithm>
#include <optional>

#include "config/parse.h"

namespace pgkeel {
namespace {

constexpr std::string_view kBash =
    R"(# Completion of pgkeel's command line for bash; printed by `pgkeel completion bash`.
_pgkeel() {
  local candidate word=${COMP_WORDS[COMP_CWORD]}
  [[ $word != = ]] || word=
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    case $candidate in
      :file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
      :folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
      *) COMPREPLY+=("$candidate") ;;
    esac
  done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _pgkeel pgkeel
)";

constexpr std::string_view kZsh = R"(#compdef pgkeel
# Completion of pgkeel's command line for zsh; printed by `pgkeel completion zsh`.
_pgkeel() {
  local -a candidates
  local line
  for line in "${(@f)$("${(Q)words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      (:file|:folder)
        [[ ${words[CURRENT]} != --*=* ]] || compset -P '*='
        if [[ $line == :file ]]; then _files; else _files -/; fi
        return ;;
      (?*) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
    esac
  done
  [[ ${words[CURRENT]} != --*=* ]] || compset -P '*='
  _describe pgkeel candidates
}
if [[ ${funcstack[1]} == _pgkeel ]]; then _pgkeel "$@"; else compdef _pgkeel pgkeel; fi
)";

constexpr std::string_view kFish =
    R"(# Completion of pgkeel's command line for fish; printed by `pgkeel completion fish`.
function __pgkeel_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l before (string match -r -- '^--[^=]*=' "$token")
    set -l program $words[1]
    set -e words[1]
    for line in (command $program __complete $words "$token" 2>/dev/null)
        switch $line
            case :file
                for path in (__fish_complete_path (string replace -- "$before" '' "$token"))
                    echo -- "$before$path"
                end
            case :folder
                for path in (__fish_complete_directories (string replace -- "$before" '' "$token"))
                    echo -- "$before$path"
                end
            case '*'
                echo -- "$before$line"
        end
    end
end
complete -c pgkeel -f -a '(__pgkeel_complete)'
)";

struct Place {
  const CLI::App* verb = nullptr;         // nothing: there is none of that name
  const CLI::Option* value_of = nullptr;  // the last word is this option's value
  std::size_t positionals = 0;            // that stand before the last word
  std::string cluster;                    // the positional CLUSTER
  std::string config;                     // the value of --config; empty: its default
  std::vector<const CLI::Option*> used;
};

const CLI::Option* option_named(const CLI::App& verb, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  for (const CLI::Option* option : verb.get_options()) {
    if (!option->nonpositional()) continue;
    for (const auto& known : option->get_lnames()) {
      if (name == "--" + known) return option;
    }
    for (const auto& known : option->get_snames()) {
      if (name == "-" + known) return option;
    }
  }
  return nullptr;
}

bool takes_value(const CLI::Option& option) {
  return option.get_type_size() > 0 && option.get_expected_max() > 0;
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& verb) {
  return verb.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

const CLI::App* part_named(const CLI::App& app, const std::string& name) {
  const auto found = app.get_subcommands([&](const CLI::App* part) { return part->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

// bash makes words of their own of "--config", "=" and what follows.
Place find_place(const CLI::App& app, const std::vector<std::string>& before) {
  Place place;
  place.verb = &app;
  const CLI::Option* pending = nullptr;
  const auto take = [&](const CLI::Option& option, const std::string& value) {
    if (option.check_name("--config")) place.config = value;
    pending = nullptr;
  };
  for (const std::string& word : before) {
    if (pending != nullptr) {
      if (word != "=") take(*pending, word);
    } else if (word.starts_with('-')) {
      const auto* option = option_named(*place.verb, word);
      if (option == nullptr) continue;
      place.used.push_back(option);
      pending = takes_value(*option) ? option : nullptr;
      if (const auto equals = word.find('='); pending != nullptr && equals != std::string::npos)
        take(*option, word.substr(equals + 1));
    } else if (const auto* part = part_named(*place.verb, word)) {
      place.verb = part;
      place.positionals = 0;
    } else if (place.verb == &app) {
      place.verb = nullptr;  // no verb that there is
      return place;
    } else {
      const auto positionals = positionals_of(*place.verb);
      if (place.positionals < positionals.size() && positionals[place.positionals]->get_name() == "CLUSTER")
        place.cluster = word;
      ++place.positionals;
    }
  }
  place.value_of = pending;
  return place;
}

std::string config_path_of(const Place& place) {
  if (!place.config.empty()) return place.config;
  const auto* option = option_named(*place.verb, "--config");
  return option == nullptr ? "" : option->get_default_str();
}

// What stands between braces in the description of a value of which only some are allowed.
std::vector<Completion> listed_values(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto begin = type.find('{');
  const auto end = type.rfind('}');
  std::vector<Completion> values;
  if (begin == std::string::npos || end == std::string::npos) return values;
  for (std::size_t at = begin + 1; at < end;) {
    const std::size_t comma = std::min(type.find(',', at), end);
    values.push_back({type.substr(at, comma - at), ""});
    at = comma + 1;
  }
  return values;
}

std::vector<Completion> values_of(const CLI::Option& option, const Place& place) {
  const bool is_positional = option.get_positional();
  const std::string what = is_positional ? option.get_name() : option.get_type_name();
  if (what.starts_with("FILE")) return {{std::string(kAnyFile), ""}};
  if (what.starts_with("FOLDER")) return {{std::string(kAnyFolder), ""}};
  const bool clusters = what.starts_with("CLUSTER");
  if (!clusters && !what.starts_with("NODE")) return listed_values(option);
  std::vector<Completion> names;
  const auto config = load_config(config_path_of(place));
  if (!config) return names;
  for (const auto& cluster : config->clusters) {
    if (clusters) {
      names.push_back({cluster.name, "cluster"});
      continue;
    }
    if (!place.cluster.empty() && place.cluster != cluster.name) continue;
    for (const auto& node : cluster.nodes) names.push_back({node.name, format_host_port(node.address)});
  }
  return names;
}

std::vector<Completion> options_left(const Place& place) {
  std::vector<Completion> options;
  for (const CLI::Option* option : place.verb->get_options()) {
    const bool again = option->get_expected_max() > 1;
    if (option->get_lnames().empty() || (!again && std::ranges::find(place.used, option) != place.used.end())) continue;
    options.push_back({"--" + option->get_lnames().front(), option->get_description()});
  }
  return options;
}

std::vector<Completion> parts_of(const CLI::App& app) {
  std::vector<Completion> parts;
  for (const CLI::App* part : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); }))
    parts.push_back({part->get_name(), part->get_description()});
  return parts;
}

}  // namespace

std::vector<Completion> complete(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty()) return {};
  const Place place = find_place(app, {words.begin(), words.end() - 1});
  if (place.verb == nullptr) return {};
  std::string word = words.back() == "=" ? "" : words.back();
  std::vector<Completion> candidates;
  const auto* with_value =
      word.starts_with("--") && word.find('=') != std::string::npos ? option_named(*place.verb, word) : place.value_of;
  if (with_value != nullptr) {
    if (with_value != place.value_of) word = word.substr(word.find('=') + 1);
    candidates = values_of(*with_value, place);
  } else if (word.starts_with('-')) {
    candidates = options_left(place);
  } else {
    candidates = parts_of(*place.verb);
    const auto positionals = positionals_of(*place.verb);
    if (place.positionals < positionals.size()) {
      auto values = values_of(*positionals[place.positionals], place);
      candidates.insert(candidates.end(), values.begin(), values.end());
    } else if (candidates.empty()) {
      candidates = options_left(place);
    }
  }
  std::erase_if(candidates, [&](const Completion& one) { return !one.text.starts_with(word) && one.text[0] != ':'; });
  return candidates;
}

std::string completions_text(const std::vector<Completion>& completions) {
  std::string text;
  for (const auto& one : completions) text += one.text + (one.help.empty() ? "" : "\t" + one.help) + "\n";
  return text;
}

std::string completion_script(std::string_view shell) {
  return std::string(shell == "bash" ? kBash : shell == "zsh" ? kZsh : kFish);
}

}  // namespace pgkeel
