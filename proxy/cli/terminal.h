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

// Asks on standard output whether to go on, and reads the answer from standard input: a yes, or anything else.
[[nodiscard]] bool is_told_to_go_on();

// A terminal, TERM is not "dumb", and NO_COLOR is not set (https://no-color.org).
[[nodiscard]] bool wants_colours(int descriptor);

struct ScreenSize {
  std::size_t rows = 24;
  std::size_t columns = 80;
};

// Of the terminal; 24 x 80 where it does not tell.
[[nodiscard]] ScreenSize screen_size(int descriptor);

// Writes the text over what was on the screen, without a flicker. What does not fit is left out from below, and the
// last row says how much: a screen that scrolls could not be written over. Long lines go on in the next row. Pure.
std::string as_screen(std::string_view text, ScreenSize size);

}  // namespace pgkeel
