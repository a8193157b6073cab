#include "proxy/cli/manual.h"

#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "config/example.h"
#include "config/reference.h"
#include "proxy/base/version.h"
#include "proxy/cli/usage.h"

namespace pgkeel {
namespace {

// Text as troff takes it for itself: '\' and '-' are its own, and so is a '.' or ''' that begins a line.
std::string plain(std::string_view text) {
  std::string escaped;
  bool begins_line = true;
  for (const char c : text) {
    if (begins_line && (c == '.' || c == '\'')) escaped += "\\&";
    begins_line = c == '\n';
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string bold(std::string_view text) {
  return "\\fB" + plain(text) + "\\fR";
}

std::string title(std::string_view page, int section, std::string_view what) {
  return fmt::format(".TH {} {} \"\" \"pgkeel {}\" \"{}\"\n", page, section, pgkeel_version(), what);
}

std::string verbatim(std::string_view lines) {
  return ".PP\n.nf\n" + plain(lines) + (lines.ends_with('\n') ? "" : "\n") + ".fi\n";
}

bool is_shown(const CLI::Option& option) {
  return option.get_name() != "--help" && !option.get_group().empty();
}

std::string synopsis_of(const CLI::App& verb) {
  std::string line = bold(verb.get_name());
  for (const CLI::App* part : verb.get_subcommands([](const CLI::App*) { return true; }))
    line += fmt::format("{}{}", line.ends_with("R") ? " " : "|", bold(part->get_name()));
  for (const CLI::Option* option : verb.get_options()) {
    if (!option->get_positional()) continue;
    line += option->get_required() ? " \\fI" + plain(option->get_name()) + "\\fR"
                                   : " [\\fI" + plain(option->get_name()) + "\\fR]";
  }
  return line + " [\\fIoptions\\fR]\n";
}

// Without the limits of the value that CLI11 adds.
std::string value_name(const CLI::Option& option) {
  const std::string name = option.get_type_name();
  return name.substr(0, name.find(':'));
}

std::string options_of(const CLI::App& verb) {
  std::string text;
  for (const CLI::Option* option : verb.get_options()) {
    if (!is_shown(*option)) continue;
    text += ".TP\n" + bold(option->get_positional() ? option->get_name() : option->get_name(false, true));
    const bool has_value = option->get_type_size() > 0 && option->get_expected_max() > 0;
    if (has_value && !option->get_positional()) text += " \\fI" + plain(value_name(*option)) + "\\fR";
    text += "\n" + plain(option->get_description());
    if (!option->get_default_str().empty()) text += plain(" (default: " + option->get_default_str() + ")");
    text += "\n";
  }
  return text;
}

std::string section_of(const CLI::App& verb) {
  std::string text =
      ".SS " + plain(verb.get_name()) + "\n" + synopsis_of(verb) + ".PP\n" + plain(verb.get_description()) + ".\n";
  const std::string footer = verb.get_footer();
  const auto examples_at = std::min(footer.find(kExamplesTitle), footer.size());
  if (const auto prose = footer.substr(0, examples_at); !prose.empty()) text += plain(prose) + "\n";
  text += options_of(verb);
  for (const CLI::App* part : verb.get_subcommands([](const CLI::App*) { return true; })) {
    text += ".TP\n" + bold(verb.get_name() + " " + part->get_name()) + "\n" + plain(part->get_description()) + "\n";
    text += options_of(*part);
  }
  if (examples_at < footer.size()) text += verbatim(footer.substr(examples_at + kExamplesTitle.size()));
  // An empty line would be a paragraph of its own.
  for (auto at = text.find("\n\n"); at != std::string::npos; at = text.find("\n\n", at)) text.erase(at, 1);
  return text;
}

constexpr std::string_view kProgramEnd = R"(.SH EXIT STATUS
.TP
0
Done.
.TP
1
Refused or failed. One line on the standard error output says why, and what to do.
.TP
2
The command line is wrong.
.SH ENVIRONMENT
.TP
.B NO_COLOR
Where it is set and not empty, nothing is written in colour. Elsewhere than on a terminal nothing is in any case.
.SH FILES
.TP
.I /etc/pgkeel/pgkeel.toml
The configuration of the proxy; see
.BR pgkeel.toml (5).
.TP
.I /etc/pgkeel/agent.toml
The configuration of the agent.
.TP
.I /etc/pgkeel/admin.token
The bearer token for whatever changes something.
.TP
.I /var/lib/pgkeel
The state: epoch, route, safe standbys, events.
.SH SEE ALSO
.BR pgkeel.toml (5),
.BR psql (1),
.BR pg_rewind (1),
.BR pg_basebackup (1),
.I /usr/share/doc/pgkeel
)";

}  // namespace

std::string manual_of_program(const CLI::App& app) {
  std::string text = title("PGKEEL", 1, "pgkeel");
  text += ".SH NAME\npgkeel \\- PostgreSQL failover proxy with a virtual endpoint\n.SH SYNOPSIS\n";
  text += bold("pgkeel") + " \\fIVERB\\fR [\\fIoptions\\fR]\n.SH DESCRIPTION\n";
  text += plain(
      "Applications connect to one address, the client access point. Behind it stand a primary and its standbys.\n"
      "pgkeel watches them, promotes a standby when the primary fails, gives every client the PostgreSQL error that\n"
      "makes its driver reconnect to the same address, and makes the old primary a standby again.\n");
  text += ".PP\n" + plain(
                        "Verbs that look at or change a running pgkeel read its address and token from the "
                        "configuration. What changes\n"
                        "something asks for confirmation on a terminal; --yes answers it. --json prints JSON instead "
                        "of text for people.\n");
  text += ".SH VERBS\n";
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); }))
    text += section_of(*verb);
  return text + std::string(kProgramEnd);
}

namespace {

// Names in backticks are a matter of Markdown.
std::string without_backticks(std::string text) {
  std::erase(text, '`');
  return text;
}

std::string entry_of(const ReferenceKey& key) {
  std::string text = ".TP\n" + bold(key.name) + " = \\fI" + plain(without_backticks(key.type)) + "\\fR\n";
  std::string prose = key.meaning.empty() ? std::string() : key.meaning + ". ";
  prose += key.required ? "Required." : "Default: " + key.fallback + ".";
  if (!key.limits.empty()) prose += " Limits: " + without_backticks(key.limits) + ".";
  if (!key.in_force.empty()) prose += " In force after a reload: " + key.in_force + ".";
  return text + plain(without_backticks(prose)) + "\n";
}

std::string entries_of(const std::vector<ReferenceTable>& tables) {
  std::string text;
  for (const ReferenceTable& table : tables) {
    text += ".SS " + plain(table.header) + "\n" + plain(without_backticks(table.meaning)) + ".\n";
    for (const ReferenceKey& key : table.keys) text += entry_of(key);
  }
  return text;
}

}  // namespace

std::string manual_of_configuration() {
  std::string text = title("PGKEEL.TOML", 5, "pgkeel");
  text += ".SH NAME\npgkeel.toml, agent.toml \\- configuration of pgkeel and of its agents\n.SH DESCRIPTION\n";
  text += plain(
      "TOML. Durations are texts: \"250ms\", \"3s\", \"10m\", \"2h\", \"30d\". Unknown keys, wrong types and "
      "impossible\n"
      "combinations are errors with file, line and column, all of them at once: pgkeel check --config FILE.\n");
  text += ".SH KEYS OF PGKEEL.TOML\n" + entries_of(configuration_tables());
  text += ".SH KEYS OF AGENT.TOML\n" + entries_of(agent_configuration_tables());
  text += ".SH EXAMPLE OF PGKEEL.TOML\n" + verbatim(example_toml());
  text += ".SH EXAMPLE OF AGENT.TOML\n" + verbatim(agent_example_toml());
  return text + ".SH SEE ALSO\n.BR pgkeel (1)\n";
}

}  // namespace pgkeel
