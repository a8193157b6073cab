// The file that holds the admin endpoint's bearer token ([admin] token_file). Blocks on the disk. Any thread.
#pragma once

#include <string>

#include "proxy/base/result.h"

namespace pgkeel {

// An error where it cannot be read, is readable for others, or holds no usable token.
Result<std::string> read_token(const std::string& path);

// The same; a file that is not there is made first, mode 0600, with a random token.
Result<std::string> read_or_make_token(const std::string& path);

}  // namespace pgkeel
