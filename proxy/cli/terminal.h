// What the verbs may write besides plain text. Only to a terminal, and only where the user wants it. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace pgkeel {

enum class Paint { kPlain, kGood, kWarning, kBad };

// Puts the colour around a text; or, made without colours, nothing. Pure.
class Painter {
 public:
  explicit Painter(bool with_colours = false) : with_colours_(with_colours) {}

  std::string operator()(Paint paint, std::string_view text) const;

 private:
  bool with_colours_;
};

[[nodiscard]] bool is_terminal(int descriptor);

// A terminal, TERM is not "dumb", and NO_COLOR is not set (https://no-color.org).
[[nodiscard]] bool wants_colours(int descriptor);

// Writes the text over what was on the screen, without a flicker.
std::string as_screen(std::string_view text);

}  // namespace pgkeel
