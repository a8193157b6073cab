// The names of an export's files, and what it says about itself. Pure. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "replication/agent/heap_page.h"

namespace pgkeel {

// A name as a part of a file's name: what could lead elsewhere, end the part or confuse a shell is written as %XX.
std::string safe_file_part(std::string_view name);

// COPY of these row versions, or of a part of them, as CSV. `table`: quoted.
std::string copy_statement(const std::string& table, const std::vector<std::string>& columns,
                           const std::vector<RowPointer>& rows, std::size_t begin, std::size_t end, bool header);

// README.txt.
std::string export_readme(const std::string& report, const std::string& node);

}  // namespace pgkeel
