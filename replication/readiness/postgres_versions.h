// Releases of PostgreSQL as server_version_num has them.
#pragma once

#include <cstdint>

namespace pgkeel {

constexpr std::uint32_t kPostgres15 = 150000;
constexpr std::uint32_t kPostgres16 = 160000;
constexpr std::uint32_t kPostgres17 = 170000;

}  // namespace pgkeel
