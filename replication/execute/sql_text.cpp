#include "replication/execute/sql_text.h"

namespace pgkeel {

std::string quote_literal(std::string_view text) {
  std::string quoted = text.find('\\') == std::string_view::npos ? "'" : "E'";
  for (const char letter : text) {
    if (letter == '\'' || letter == '\\') quoted += letter;
    quoted += letter;
  }
  return quoted + "'";
}

std::string create_slot_sql(const std::string& slot) {
  const std::string name = quote_literal(slot);
  return "SELECT pg_catalog.pg_create_physical_replication_slot(" + name +
         ", true) WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = " + name + ")";
}

}  // namespace pgkeel
