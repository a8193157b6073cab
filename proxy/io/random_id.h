// Names that nobody else has given, and nobody can guess. Any thread.
#pragma once

#include <string>

namespace pgkeel {

std::string random_id();  // 32 hexadecimal digits, of the kernel's randomness

}  // namespace pgkeel
