// What long work on the nodes of a cluster has told last, for the status, and which of its lines are worth an event. A
// line may end in how much is done: "copying a: 40 %". Pure. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace pgkeel {

// 40 of "copying a: 40 %"; nothing: the line tells no percentage.
std::optional<std::uint32_t> percent_of(std::string_view line);

class ProgressBoard {
 public:
  // Whether it is worth an event: every line is, but of the percentages only one in each quarter of the way.
  bool take(const std::string& node, const std::string& line);
  void ended(const std::string& node) { latest_.erase(node); }

  // Empty: none since its work began.
  [[nodiscard]] std::string latest(const std::string& node) const;

 private:
  struct Entry {
    std::string line;
    std::uint32_t quarters_told = 0;
  };
  std::map<std::string, Entry> latest_;
};

}  // namespace pgkeel
