#include "replication/agent/lost_large_objects.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "proxy/base/hexadecimal.h"
#include "proxy/io/blocking_sql.h"
#include "replication/agent/export_file.h"
#include "replication/agent/lost_export_text.h"
#include "replication/agent/lost_table.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;
using Json = nlohmann::json;

// Fixed numbers of PostgreSQL (pg_largeobject.h, pg_largeobject_metadata.h). The first column of both is the loid.
constexpr std::uint32_t kPieces = 2613;
constexpr std::uint32_t kMetadata = 2995;

constexpr std::size_t kObjectsAtOnce = 200;
constexpr std::size_t kPartBytes = std::size_t{1} << 20U;

std::string array_of(std::span<const std::uint32_t> loids) {
  std::string text = "'{";
  for (const auto loid : loids) text += (text.size() > 2 ? "," : "") + std::to_string(loid);
  return text + "}'::oid[]";
}

// Writes objects.csv; answers which of `loids` are there.
Result<std::set<std::uint32_t>> write_owners(BlockingSql& connection, const std::vector<std::uint32_t>& loids,
                                             const std::string& path) {
  std::set<std::uint32_t> there;
  ExportFile file(path);
  for (std::size_t begin = 0; begin < loids.size(); begin += kObjectsAtOnce) {
    const auto some = std::span(loids).subspan(begin, std::min(kObjectsAtOnce, loids.size() - begin));
    const auto copied = connection.copy_out(
        "COPY (SELECT oid AS loid, pg_get_userbyid(lomowner) AS owner, lomacl AS acl FROM pg_largeobject_metadata "
        "WHERE oid = ANY (" +
            array_of(some) + ") ORDER BY oid) TO STDOUT (FORMAT csv, HEADER " + (begin == 0 ? "true" : "false") + ")",
        [&](std::string_view line) {
          std::uint32_t loid = 0;
          const auto [end, code] = std::from_chars(line.data(), line.data() + line.size(), loid);
          if (code == std::errc{}) there.insert(loid);
          file.add(line);
        });
    if (!copied) return Error{copied.error().message};
  }
  if (auto closed = file.close(); !closed) return closed.error();
  return there;
}

Result<void, SqlError> read_object(BlockingSql& connection, std::uint32_t loid,
                                   const std::function<void(std::string_view)>& use) {
  for (std::size_t begin = 0;; begin += kPartBytes) {
    const auto part = connection.run("SELECT encode(lo_get(" + std::to_string(loid) + ", " + std::to_string(begin) +
                                     ", " + std::to_string(kPartBytes) + "), 'hex')");
    if (!part) return part.error();
    const auto text = part->rows.empty() ? std::nullopt : part->rows[0][0];
    const auto bytes = text ? from_hexadecimal(*text) : std::nullopt;
    if (!bytes) return SqlError{"XX000", "the server's answer is no hexadecimal text"};
    use(*bytes);
    if (bytes->size() < kPartBytes) return {};
  }
}

Result<void> write_there(BlockingSql& connection, LostLargeObjects& objects, const std::set<std::uint32_t>& there,
                         const std::string& folder, LargeObjectCounts& counts) {
  for (const auto loid : there) {
    const auto path = folder + "/" + std::to_string(loid) + ".bin";
    ExportFile file(path);
    const auto read = read_object(connection, loid, [&](std::string_view bytes) { file.add(bytes); });
    if (auto closed = file.close(); !closed) return closed;
    if (read) {
      ++counts.written;
      continue;
    }
    if (read.error().sqlstate.empty()) return Error{"the server is gone: " + read.error().message};
    std::error_code ignored;
    files::remove(path, ignored);  // a half is taken for the whole
    objects.left_out.push_back("large object " + std::to_string(loid) + " cannot be read: " + read.error().message);
  }
  return {};
}

Result<void> write_deleted(const LostLargeObjects& objects, const std::set<std::uint32_t>& there,
                           const std::string& path, LargeObjectCounts& counts) {
  std::string text = "loid\n";
  for (const auto loid : objects.touched) {
    if (there.contains(loid) || objects.made.contains(loid)) continue;
    text += std::to_string(loid) + "\n";
    ++counts.deleted;
  }
  if (counts.deleted == 0) return {};
  ExportFile file(path);
  file.add(text);
  return file.close();
}

void compare_with_log(LostLargeObjects& objects) {
  if (objects.deletions_in_log > objects.deletions) {
    objects.problems.push_back(std::to_string(objects.deletions_in_log - objects.deletions) +
                               " deleted large objects are no longer on their pages, which were cleaned up since: "
                               "their loids cannot be told");
  }
  if (objects.pieces_deleted_in_log > objects.pieces_deleted) {
    objects.problems.push_back(std::to_string(objects.pieces_deleted_in_log - objects.pieces_deleted) +
                               " deleted pieces of large objects are no longer on their pages, which were cleaned up "
                               "since: which objects were deleted or cut short cannot be told");
  }
}

Result<BlockingSql> connect_to(const IsolatedServer& server, const std::string& database) {
  if (database.empty()) return Error{"the name of their database is not known"};
  if (auto opened = let_in(server, database); !opened) return opened.error();
  auto connection = BlockingSql::connect(server.conninfo(database));
  if (!connection) return Error{connection.error().message};
  return std::move(*connection);
}

}  // namespace

bool has_large_objects(const NamedRelation& relation) {
  return relation.oid == kPieces || relation.oid == kMetadata;
}

void add_large_object_page(LostLargeObjects& found, const NamedRelation& relation, std::uint32_t block,
                           std::span<const HeapTuple> tuples, const TransactionSet& lost,
                           const UpdaterOfMultixact& updater_of) {
  for (const auto& tuple : tuples) {
    std::uint32_t loid = 0;
    if (tuple.xmin_invalid || tuple.data.size() < sizeof loid) continue;
    const bool by_lost = lost.contains(tuple.xmin);
    const bool gone_by_lost = lost.contains(ended_by(tuple, updater_of));
    if (!by_lost && !gone_by_lost) continue;
    std::memcpy(&loid, tuple.data.data(), sizeof loid);
    found.touched.insert(loid);
    const bool is_metadata = relation.oid == kMetadata;
    if (is_metadata && by_lost && !tuple.is_update) found.made.insert(loid);
    if (gone_by_lost && tuple.next == RowPointer{block, tuple.offset})
      ++(is_metadata ? found.deletions : found.pieces_deleted);
  }
}

void add_large_object_log(LostLargeObjects& found, const NamedRelation& relation, const RowCounts& in_log) {
  (relation.oid == kMetadata ? found.deletions_in_log : found.pieces_deleted_in_log) += in_log.deleted;
}

Json note_of(const LostLargeObjects& found) {
  return {{"touched", found.touched},
          {"made", found.made},
          {"deletions", found.deletions},
          {"pieces_deleted", found.pieces_deleted}};
}

void add_noted(LostLargeObjects& found, const Json& note) {
  found.touched.merge(note.at("touched").get<std::set<std::uint32_t>>());
  found.made.merge(note.at("made").get<std::set<std::uint32_t>>());
  found.deletions = std::max(found.deletions, note.at("deletions").get<std::uint64_t>());
  found.pieces_deleted = std::max(found.pieces_deleted, note.at("pieces_deleted").get<std::uint64_t>());
}

Result<Json> write_large_objects(const IsolatedServer& server, LostLargeObjects& objects, const std::string& target,
                                 LargeObjectCounts& counts) {
  LargeObjectCounts here;
  const auto name = safe_file_part(objects.database) + "/large_objects";
  const auto folder = target + "/" + name;
  if (!objects.touched.empty()) {
    const std::vector<std::uint32_t> loids(objects.touched.begin(), objects.touched.end());
    auto connection = connect_to(server, objects.database);
    const auto there = connection ? write_owners(*connection, loids, folder + "/objects.csv") : connection.error();
    if (!there) {
      objects.left_out.push_back("what became of " + std::to_string(loids.size()) +
                                 " large objects cannot be read: " + there.error().message);
    } else {
      if (auto written = write_there(*connection, objects, *there, folder, here); !written) return written.error();
      if (auto written = write_deleted(objects, *there, folder + "/deleted.csv", here); !written)
        return written.error();
    }
  }
  compare_with_log(objects);
  counts.written += here.written;
  counts.deleted += here.deleted;
  return Json{{"database", objects.database}, {"folder", name},
              {"written", here.written},      {"deleted", here.deleted},
              {"left_out", objects.left_out}, {"problems", objects.problems}};
}

}  // namespace pgkeel
