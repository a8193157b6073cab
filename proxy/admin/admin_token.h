// A bearer token of the admin endpoint, and whose it is. Plain data.
#pragma once

#include <string>
#include <vector>

namespace pgkeel {

// By which the verbs of the command line say who has run them.
inline constexpr const char* kOperatorHeader = "Pgkeel-Operator";

struct AdminToken {
  std::string holder;  // empty: the file gives it no name
  std::string text;

  friend bool operator==(const AdminToken&, const AdminToken&) = default;
};
using AdminTokens = std::vector<AdminToken>;

}  // namespace pgkeel
