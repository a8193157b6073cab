// Secrets that come from outside are compared here, and nowhere else.
#pragma once

#include <cstddef>
#include <string_view>

namespace pgkeel {

// Takes as long for a guess that begins right as for one that is all wrong. Only the length shows.
inline bool equal_in_constant_time(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  unsigned difference = 0;
  for (std::size_t index = 0; index < left.size(); ++index) {
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(left[index]) ^ static_cast<unsigned char>(right[index]));
  }
  return difference == 0;
}

}  // namespace pgkeel
