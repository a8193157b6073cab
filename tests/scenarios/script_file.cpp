#include "tests/scenarios/script_file.h"

#include <fstream>
#include <stdexcept>

namespace pgkeel::scenarios {

Script read_script(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  Script script{path.stem().string(), path, {}, {}};
  Block block;
  bool in_output = false;
  std::size_t line_number = 0;
  const auto finish = [&] {
    if (in_output) script.blocks.push_back(std::move(block));
    block = {};
    in_output = false;
  };
  for (std::string line; std::getline(file, line);) {
    line_number += 1;
    if (in_output) {
      if (line.empty()) {
        finish();
      } else {
        block.expected += line + "\n";
      }
    } else if (line == "----") {
      in_output = true;
    } else {
      block.text.push_back(line);
      if (line.empty() || line.starts_with('#')) continue;
      if (block.commands.empty()) block.line = line_number;
      block.commands.push_back(line);
    }
  }
  if (!in_output && !block.commands.empty()) {
    throw std::runtime_error(path.string() + ":" + std::to_string(block.line) + ": commands without a line of dashes");
  }
  if (!in_output) {
    for (const auto& line : block.text) script.epilogue += line + "\n";
  }
  finish();
  return script;
}

void write_script(const Script& script) {
  std::ofstream file(script.path);
  bool first = true;
  for (const auto& block : script.blocks) {
    if (!first) file << "\n";
    first = false;
    for (const auto& line : block.text) file << line << "\n";
    file << "----\n" << block.expected;
  }
  if (!script.epilogue.empty()) file << "\n" << script.epilogue;
  if (!file.flush()) throw std::runtime_error("cannot write " + script.path.string());
}

}  // namespace pgkeel::scenarios
