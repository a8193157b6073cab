// Text for SQL statements that are made, not only sent. Pure.
#pragma once

#include <string>
#include <string_view>

namespace pgkeel {

// 'text' as a string constant, whatever standard_conforming_strings says (PostgreSQL manual, "String Constants").
std::string quote_literal(std::string_view text);

// "name" as an identifier.
std::string quote_identifier(std::string_view name);

}  // namespace pgkeel
