// The large objects that lost transactions wrote or deleted: told from the pages of PostgreSQL's two catalogs of them,
// and written out by a server that runs alone. Blocking; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "proxy/base/result.h"
#include "replication/agent/catalog_files.h"
#include "replication/agent/heap_page.h"
#include "replication/agent/isolated_server.h"
#include "replication/agent/lost_rows.h"

namespace pgkeel {

// Of one database.
struct LostLargeObjects {
  std::string database;
  std::set<std::uint32_t> touched;  // loids; also of those that were only given another owner or other privileges
  std::set<std::uint32_t> made;     // of these, those that lost transactions made: the cluster never had them
  // What the pages have and what the log tells of: pages are cleaned up.
  std::uint64_t deletions = 0;
  std::uint64_t deletions_in_log = 0;
  std::uint64_t pieces_deleted = 0;
  std::uint64_t pieces_deleted_in_log = 0;
  std::vector<std::string> left_out;  // what the directory has and the files have not
  std::vector<std::string> problems;  // what neither has any more
};

// Whether it is pg_largeobject, which has their bytes in pieces, or pg_largeobject_metadata, which has a row for each.
bool has_large_objects(const NamedRelation& relation);

// `relation`: one of the two. `tuples`: of its page `block`.
void add_large_object_page(LostLargeObjects& found, const NamedRelation& relation, std::uint32_t block,
                           std::span<const HeapTuple> tuples, const TransactionSet& lost,
                           const UpdaterOfMultixact& updater_of);
void add_large_object_log(LostLargeObjects& found, const NamedRelation& relation, const RowCounts& in_log);

// To read them may clean their pages up. What was found is noted before, and taken up by the export that follows one
// which was cut off.
nlohmann::json note_of(const LostLargeObjects& found);
void add_noted(LostLargeObjects& found, const nlohmann::json& note);

struct LargeObjectCounts {
  std::uint64_t written = 0;
  std::uint64_t deleted = 0;
};

// Into `<target>/<database>/large_objects/`: `<loid>.bin` for each one that is there, as it was at the end; objects.csv
// with their owners and privileges; deleted.csv with the loids that the cluster has, or had. Answers what summary.json
// says of them. One that cannot be read keeps no other one away.
Result<nlohmann::json> write_large_objects(const IsolatedServer& server, LostLargeObjects& objects,
                                           const std::string& target, LargeObjectCounts& counts);

}  // namespace pgkeel
