// The SHA-256 of some bytes, as PostgreSQL's encode(sha256(…), 'hex') writes it. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace pgkeel {

std::string sha256_hex(std::string_view bytes);  // 64 digits

}  // namespace pgkeel
