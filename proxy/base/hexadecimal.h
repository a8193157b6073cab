// Bytes as text, for JSON, which has none: two lower-case digits each. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgkeel {

std::string to_hexadecimal(std::string_view bytes);

// Nothing where the text is not what to_hexadecimal() makes.
std::optional<std::string> from_hexadecimal(std::string_view text);

}  // namespace pgkeel
