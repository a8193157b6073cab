// What a shell offers when the Tab key is pressed: taken from the model of the command line itself, and from the names
// in the configuration. The scripts only ask `pgkeel __complete WORD…`, so that they never go stale. Main thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace pgkeel {

constexpr std::string_view kCompleteVerb = "__complete";

struct Completion {
  std::string text;
  std::string help;
};

// In place of candidates: the shell's own names of files, or of folders.
constexpr std::string_view kAnyFile = ":file";
constexpr std::string_view kAnyFolder = ":folder";

// What may stand in place of the last word (which may be empty) behind the others; the program's name is left out.
// Reads the configuration that the words name, where names of clusters or nodes are wanted.
std::vector<Completion> complete(const CLI::App& app, const std::vector<std::string>& words);

// One a line: text, tabulator, help.
std::string completions_text(const std::vector<Completion>& completions);

// "bash", "zsh", "fish".
std::string completion_script(std::string_view shell);

}  // namespace pgkeel
