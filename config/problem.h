// What is wrong with a configuration file, and where: plain data, and the one line that a person reads of it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgkeel {

// Counted from 1, as editors do; 0: the file as a whole.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  friend auto operator<=>(const Position&, const Position&) = default;
};

struct Problem {
  std::string file;
  Position position;
  std::string message;
};

// "pgkeel.toml:12:3: cluster.orders.listen: …", or without the position where it is the file as a whole.
std::string format_problem(const Problem& problem);

// One line each; past `most` lines only their number, so that a hostile file does not fill the log.
std::string format_problems(const std::vector<Problem>& problems, std::size_t most = 100);

// Likewise, as a list.
std::vector<std::string> problem_lines(const std::vector<Problem>& problems, std::size_t most = 100);

// `text` in double quotes as a message shows it: cut where it is long, control characters and broken UTF-8 escaped.
std::string quoted(std::string_view text);

// The candidate that `name` is most likely a misspelling of; empty where none is close.
std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace pgkeel
