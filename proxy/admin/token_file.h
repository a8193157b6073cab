// The file that holds the admin endpoint's bearer tokens ([admin] token_file): one a line, and before it, where it has
// one, the name of its holder, which stands in the events and decisions of what is ordered with it. Lines that begin
// with # are comments. Blocks on the disk. Any thread.
#pragma once

#include <string>

#include "proxy/admin/admin_token.h"
#include "proxy/base/result.h"

namespace pgkeel {

// At least one. An error where the file cannot be read, is readable for others, or has a line that is no usable token.
Result<AdminTokens> read_tokens(const std::string& path);

// The first, which is the one that the verbs show.
Result<std::string> read_token(const std::string& path);

// All; a file that is not there is made first, mode 0600, with a random token.
Result<AdminTokens> read_or_make_tokens(const std::string& path);

}  // namespace pgkeel
