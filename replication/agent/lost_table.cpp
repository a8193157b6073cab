#include "replication/agent/lost_table.h"

#include <algorithm>
#include <utility>

#include "proxy/base/sql_quote.h"
#include "replication/agent/export_file.h"
#include "replication/agent/lost_export_text.h"

namespace pgkeel {
namespace {

constexpr std::size_t kRowsAtOnce = 200;
constexpr const char* kLockNotAvailable = "55P03";

Result<std::vector<std::string>> names(const IsolatedServer& server, const std::string& database,
                                       const std::string& sql) {
  const auto answer = ask_isolated(server, database, sql);
  if (!answer) return answer.error();
  std::vector<std::string> list;
  for (const auto& row : answer->rows) list.push_back(row.front().value_or(""));
  return list;
}

}  // namespace

std::string LostTable::quoted_name() const {
  return quote_identifier(relation.schema) + "." + quote_identifier(relation.name);
}

std::vector<RowPointer> LostTable::old_rows() const {
  auto old = rows.deleted;
  old.insert(old.end(), rows.old_keys.begin(), rows.old_keys.end());
  if (key.empty()) old.insert(old.end(), rows.replaced.begin(), rows.replaced.end());
  std::ranges::sort(old);
  return old;
}

Result<SqlRows> ask_isolated(const IsolatedServer& server, const std::string& database, const std::string& sql) {
  auto connection = BlockingSql::connect(server.conninfo(database));
  if (!connection) return Error{connection.error().message};
  auto answer = connection->run(sql);
  if (!answer) return Error{answer.error().message};
  return std::move(*answer);
}

Result<void> let_in(const IsolatedServer& server, const std::string& database) {
  const auto refuses =
      ask_isolated(server, kMaintenanceDatabase,
                   "SELECT 1 FROM pg_database WHERE NOT datallowconn AND datname = " + quote_literal(database));
  if (!refuses) return refuses.error();
  if (refuses->rows.empty()) return {};
  const auto opened = ask_isolated(
      server, kMaintenanceDatabase,
      "SET transaction_read_only = off; ALTER DATABASE " + quote_identifier(database) + " ALLOW_CONNECTIONS true");
  if (!opened) return opened.error();
  return {};
}

Result<void> describe_lost_table(const IsolatedServer& server, LostTable& table) {
  const auto oid = std::to_string(table.relation.oid);
  auto columns = names(server, table.database,
                       "SELECT attname FROM pg_attribute WHERE attrelid = " + oid +
                           " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum");
  if (!columns) return columns.error();
  table.columns = std::move(*columns);
  auto key = names(server, table.database,
                   "SELECT a.attname FROM (SELECT indrelid, indkey, indnkeyatts FROM pg_index WHERE indrelid = " + oid +
                       " AND (indisprimary OR indisreplident) ORDER BY indisprimary DESC LIMIT 1) i"
                       " CROSS JOIN LATERAL generate_series(0, indnkeyatts - 1) n"
                       " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n] ORDER BY n");
  if (!key) return key.error();
  table.key = std::move(*key);
  return {};
}

Result<std::uint64_t> write_lost_rows(BlockingSql& connection, LostTable& table, const std::vector<RowPointer>& rows,
                                      const std::vector<std::string>& columns, const std::string& path) {
  ExportFile file(path);
  std::uint64_t count = 0;
  std::uint64_t unreadable = 0;
  bool header = true;
  const auto copy = [&](std::size_t begin, std::size_t end) -> Result<void, SqlError> {
    std::string text;
    std::uint64_t lines = 0;  // each comes by itself
    auto copied = connection.copy_out(copy_statement(table.quoted_name(), columns, rows, begin, end, header),
                                      [&](std::string_view line) {
                                        text += line;
                                        ++lines;
                                      });
    if (!copied) return copied;
    file.add(text);
    count += lines - (header ? 1 : 0);
    header = false;
    return {};
  };
  for (std::size_t begin = 0; begin < rows.size(); begin += kRowsAtOnce) {
    const auto end = std::min(begin + kRowsAtOnce, rows.size());
    const auto together = copy(begin, end);
    if (together) continue;
    if (together.error().sqlstate == kLockNotAvailable) {
      unreadable += rows.size() - begin;
      table.left_out.push_back(std::to_string(rows.size() - begin) + " rows for " + path +
                               " cannot be read: a prepared transaction holds the table's lock");
      break;
    }
    for (auto index = begin; index < end; ++index) {
      const auto copied = copy(index, index + 1);
      if (copied) continue;
      ++unreadable;
      table.left_out.push_back("the row at (" + std::to_string(rows[index].block) + "," +
                               std::to_string(rows[index].offset) + ") cannot be read: " + copied.error().message);
      if (copied.error().sqlstate.empty()) return Error{"the server is gone: " + copied.error().message};
    }
  }
  if (count + unreadable < rows.size()) {
    table.left_out.push_back(std::to_string(rows.size() - count - unreadable) + " rows for " + path +
                             " are not shown by the server");
  }
  if (auto closed = file.close(); !closed) return closed.error();
  return count;
}

}  // namespace pgkeel
