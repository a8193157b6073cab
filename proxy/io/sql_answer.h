// What an SQL statement brought: rows as text, or an error. Plain data.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace pgkeel {

// NULL is an absent value.
struct SqlRows {
  std::vector<std::vector<std::optional<std::string>>> rows;
};

struct SqlError {
  std::string sqlstate;  // empty: the server was not reached, the link broke, or no answer came in time
  std::string message;   // one line
  // Without an SQLSTATE: the link stands, but what the server said on it could not be gone on with (it has no TLS, its
  // certificate is not trusted, it wants a password that we do not have).
  bool server_spoke = false;
};

}  // namespace pgkeel
