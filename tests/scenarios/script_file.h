// A scenario on disk: blocks of commands, a line of dashes, and the output that is expected of them. Tests only.
//
//   # why this block is here
//   silent a
//   ----
//   = no route: …
//
// A block ends at an empty line. Lines before the dashes that begin with '#' are comments.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pgkeel::scenarios {

struct Block {
  std::size_t line = 0;           // of its first command
  std::vector<std::string> text;  // as in the file, with comments and indentation
  std::vector<std::string> commands;
  std::string expected;
};

struct Script {
  std::string name;
  std::filesystem::path path;
  std::vector<Block> blocks;
  std::string epilogue;  // comments after the last block
};

Script read_script(const std::filesystem::path& path);
void write_script(const Script& script);

}  // namespace pgkeel::scenarios
