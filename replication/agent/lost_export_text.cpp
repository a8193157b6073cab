#include "replication/agent/lost_export_text.h"

#include <cctype>

#include "proxy/base/sql_quote.h"

namespace pgkeel {

std::string safe_file_part(std::string_view name) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string part;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte) != 0 || c == '_' || c == '-') {
      part += c;
    } else {
      part += '%';
      part += kDigits[byte >> 4U];
      part += kDigits[byte & 15U];
    }
  }
  return part;
}

std::string copy_statement(const std::string& table, const std::vector<std::string>& columns,
                           const std::vector<RowPointer>& rows, std::size_t begin, std::size_t end, bool header) {
  std::string sql = "COPY (SELECT ";
  for (const auto& column : columns) {
    if (&column != &columns.front()) sql += ", ";
    sql += quote_identifier(column);
  }
  sql += " FROM ONLY " + table + " WHERE ctid = ANY ('{";
  for (auto index = begin; index < end; ++index) {
    if (index != begin) sql += ",";
    sql += "\"(" + std::to_string(rows[index].block) + "," + std::to_string(rows[index].offset) + ")\"";
  }
  return sql + "}'::tid[])) TO STDOUT (FORMAT csv, HEADER " + (header ? "true" : "false") + ")";
}

std::string export_readme(const std::string& report, const std::string& node) {
  return "What " + node + " had committed and the cluster lost: rows of report " + report + R"(

One folder for each database, in it for each table, as far as there is something:
  <schema>.<table>.deleted.csv    keys of the rows that were deleted, or that got another key: the primary key, else the
                                  replica identity; whole rows where the table has neither, then also as they were
                                  before they were updated
  <schema>.<table>.updated.csv    rows that were updated, as they were at the end
  <schema>.<table>.inserted.csv   rows that were inserted, as they were at the end
  <schema>.<table>.inserted_or_updated.csv   the same, of which it can't be told any more which of both they were
  large_objects/<loid>.bin        large objects that were written, whole, as they were at the end
  large_objects/objects.csv       their owners and privileges
  large_objects/deleted.csv       those that were deleted
What is no letter, digit, "_" or "-" in a name is written as %XX. CSV as PostgreSQL's COPY reads it (FORMAT csv, HEADER);
an empty field without quotes is NULL; generated columns are left out. UTF-8.

summary.json says how many rows are in each file, which tables were made, dropped, truncated or written anew, where
sequences stood, what could not be told ("problems"), and what only the data directory has ("left_out"; "complete" says
whether there is none). Triggers did their work on the old primary already: their rows are in the
files too.

To bring a table back by hand, look first at what the cluster did with the same rows since; then, on the primary:
  BEGIN;
  SET LOCAL session_replication_role = replica;    -- no triggers
  CREATE TEMP TABLE lost (LIKE shop.orders INCLUDING DEFAULTS);
  \copy lost from 'shop/public.orders.updated.csv' (format csv, header)
  \copy lost from 'shop/public.orders.inserted.csv' (format csv, header)
  DELETE FROM shop.orders WHERE ...;               -- the keys in public.orders.deleted.csv
  INSERT INTO shop.orders SELECT * FROM lost ON CONFLICT (id) DO UPDATE SET ...;
  COMMIT;
Then set sequences on past what summary.json says of them.

To bring a large object back under its own number (drop lo_unlink(16400) where the cluster has none of that number):
  BEGIN;
  \lo_import 'shop/large_objects/16400.bin'
  SELECT lo_unlink(16400);
  SELECT lo_from_bytea(16400, lo_get(:LASTOID)), lo_unlink(:LASTOID);
  COMMIT;
Then give it back to its owner: ALTER LARGE OBJECT 16400 OWNER TO ...;
)";
}

}  // namespace pgkeel
