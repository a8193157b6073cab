// Numbers that PostgreSQL gives fixed objects (pg_tablespace.dat).
#pragma once

#include <cstdint>

namespace pgkeel {

constexpr std::uint32_t kDefaultTablespace = 1663;
constexpr std::uint32_t kGlobalTablespace = 1664;

}  // namespace pgkeel
