#include "replication/execute/sql_text.h"

namespace pgkeel {

std::string create_slot_sql(const std::string& slot, bool reserves_wal) {
  const std::string name = quote_literal(slot);
  const std::string drop_what_keeps_nothing =
      "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = " +
      name + " AND slot_type = 'physical' AND NOT active AND (wal_status = 'lost' OR restart_lsn IS NULL); ";
  return (reserves_wal ? drop_what_keeps_nothing : "") + create_new_slot_sql(slot, reserves_wal);
}

std::string create_new_slot_sql(const std::string& slot, bool reserves_wal) {
  const std::string name = quote_literal(slot);
  return "WITH created AS (SELECT pg_catalog.pg_create_physical_replication_slot(" + name +
         (reserves_wal ? ", true" : ", false") +
         ") WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = " + name +
         ")) SELECT pg_catalog.count(*) FROM created";
}

std::string advance_slot_sql(const std::string& slot, Lsn position) {
  const std::string to = quote_literal(format_lsn(position)) + "::pg_catalog.pg_lsn";
  return "SELECT pg_catalog.pg_replication_slot_advance(slot_name, " + to +
         ") FROM pg_catalog.pg_replication_slots WHERE slot_name = " + quote_literal(slot) +
         " AND NOT active AND restart_lsn OPERATOR(pg_catalog.<) " + to;
}

}  // namespace pgkeel
