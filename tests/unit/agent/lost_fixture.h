// A primary that goes on alone until its standby takes over, and what reads the files of an export. One thread.
#pragma once

#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "replication/agent/lost_export.h"
#include "replication/agent/quarantine_entry.h"
#include "tests/unit/agent/agent_fixture.h"

namespace pgkeel::test {

using Json = nlohmann::json;
using Lines = std::multiset<std::string>;

inline std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The lines of a CSV file after its header; empty where it is not there.
inline Lines rows_in(const std::string& path) {
  std::ifstream file(path);
  Lines lines;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) lines.insert(line);
  return lines;
}

// A primary that goes on alone: `common` is written while the standby follows, `alone` after it was cut off.
class Isolated {
 public:
  explicit Isolated(const ServerOptions& options) : pair(options) {}

  void run(const std::string& common, const std::function<void(PostgresServer&)>& alone) {
    if (!common.empty()) each_statement(*pair.a, common);
    if (!pair.a->wait_caught_up("b")) throw std::runtime_error("b does not catch up");
    pair.b->stop();
    alone(*pair.a);
    pair.a->kill_tree();
    pair.b->start();
    ServerPair::promote(*pair.b, "a");
    pair.b->query("INSERT INTO t VALUES (1)");
  }

  static void each_statement(const PostgresServer& server, const std::string& text) {
    SqlConnection connection(server.conninfo());
    connection.query(text);
  }

  QuarantineEntry entry() const {
    const auto local = pair.a->local();
    auto entries = read_quarantine(quarantine_folder_of(local), local.data_directory);
    if (entries.empty()) throw std::runtime_error("nothing is in quarantine");
    return entries.back();
  }

  Result<LostExportReport> export_to(const std::string& target) {
    const auto kept = entry();
    return export_lost_rows(kept, pair.a->local(), kept.data, target, OpenDiverged::kWorkingCopy,
                            [this](const std::string& line) { pair.lines.push_back(line); });
  }

  ServerPair pair;
};

inline const Json* find_table(const Json& tables, const std::string& schema, const std::string& name) {
  for (const auto& table : tables) {
    if (table["schema"] == schema && table["table"] == name) return &table;
  }
  return nullptr;
}

inline constexpr const char* kCommon = R"sql(
CREATE TABLE keyed (id int PRIMARY KEY, v text);
INSERT INTO keyed SELECT g, 'old ' || g FROM generate_series(1, 50) g;
CREATE TABLE keyless (x int, y text);
INSERT INTO keyless SELECT g, 'y' || g FROM generate_series(1, 5) g;
CREATE SCHEMA "odd / sch.ema";
CREATE TABLE "odd / sch.ema"."ta""ble; x" ("the key" text PRIMARY KEY, w numeric);
INSERT INTO "odd / sch.ema"."ta""ble; x" VALUES ('k1', 1), ('k,2', 2);
CREATE TABLE parted (id int, part int, v text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');
CREATE TABLE wide (id int PRIMARY KEY, v text);
ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
INSERT INTO wide VALUES (1, repeat('w', 9000)), (2, repeat('x', 9000));
CREATE TABLE to_drop (x int);
CREATE TABLE to_truncate (x int);
INSERT INTO to_truncate VALUES (1);
CREATE SEQUENCE counter;
CREATE TABLE swept (id int PRIMARY KEY, v int);
INSERT INTO swept VALUES (1, 1), (2, 2), (3, 3), (4, 4);
CREATE TABLE swept_clean (id int PRIMARY KEY);
INSERT INTO swept_clean VALUES (1), (2);
CREATE TABLE locked (id int PRIMARY KEY, v int);
INSERT INTO locked VALUES (1, 1), (2, 2);
SELECT lo_from_bytea(5000 + g, convert_to('old ' || g, 'UTF8')) FROM generate_series(1, 5) g;
)sql";

}  // namespace pgkeel::test
