#include "replication/agent/lost_tables.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

namespace pgkeel {
namespace {

// What the lost transactions did with each file, by their log.
std::map<RelationFile, RowCounts> rows_in_log(const LostHistory& history) {
  std::map<RelationFile, RowCounts> rows;
  for (const auto& transaction : history.committed) {
    for (const auto& [file, counts] : transaction.work.rows) rows[file] += counts;
  }
  return rows;
}

bool is_there(const std::string& path) {
  std::error_code absent;
  return std::filesystem::file_size(path, absent) > 0 && !absent;
}

void add_revived_before(LostRows& rows, std::vector<RowPointer> revived) {
  std::ranges::sort(rows.deleted);
  std::ranges::sort(revived);
  std::vector<RowPointer> all;
  std::ranges::set_union(rows.deleted, revived, std::back_inserter(all));
  rows.deletions += all.size() - rows.deleted.size();
  rows.deleted = std::move(all);
}

}  // namespace

Result<LostTables> LostTableFinder::find(const LostHistory& history, const RevivedRows& revived_before,
                                         const std::function<void(const std::string&)>& say) {
  auto in_log = rows_in_log(history);
  std::size_t done = 0;
  for (const auto& [file, blocks] : history.touched_blocks) {
    ++done;
    const auto relation = catalog_.relation(file);
    if (relation && has_large_objects(*relation)) look_at_large_objects(file, *relation, blocks, in_log[file]);
    if (relation && relation->is_catalog) continue;
    if (relation && relation->kind != 't' && relation->kind != 'r' && relation->kind != 'm') continue;
    const auto path = catalog_.path_of(file);
    const auto& counts = in_log[file];
    if (!relation) {
      // An index of a table that was dropped has no name either, but no rows.
      if (counts.any() && path && is_there(*path))
        found_.left_out.push_back("the rows in file " + format_relation_file(file) +
                                  ": no table in the catalog has it");
      continue;
    }
    if (relation->kind == 't') {
      if (path) look_at_toast(file, blocks);
      continue;
    }
    LostTable table;
    table.file = file;
    table.relation = *relation;
    table.database = catalog_.database_name(file.database).value_or("");
    if (!path) {
      if (counts.any())
        table.left_out.emplace_back("its tablespace is not there, so that none of its rows can be read");
    } else if (is_there(*path)) {
      look_at(table, *path, blocks, counts, revived_before);
    } else if (counts.updated + counts.deleted > 0) {
      table.problems.push_back("the file of its rows was dropped, emptied or written anew since: what " +
                               std::to_string(counts.updated + counts.deleted) +
                               " updates and deletions did before that cannot be told");
    }
    if (!table.rows.any() && table.problems.empty() && table.left_out.empty()) continue;
    say("looking at " + table.database + "." + relation->schema + "." + relation->name + " (" + std::to_string(done) +
        " of " + std::to_string(history.touched_blocks.size()) + " files)");
    if (table.rows.any()) describe(table);
    found_.tables.push_back(std::move(table));
  }
  return std::move(found_);
}

void LostTableFinder::look_at(LostTable& table, const std::string& path, const std::vector<std::uint32_t>& blocks,
                              const RowCounts& in_log, const RevivedRows& revived_before) {
  LostRowFinder finder(lost_, [this](std::uint32_t multixact) { return updater_of(multixact); });
  const auto unreadable =
      pages_.read(path, blocks, [&](std::uint32_t block, auto tuples) { finder.add_page(block, tuples); });
  if (unreadable > 0)
    table.left_out.push_back(std::to_string(unreadable) + " pages of it are damaged, or cannot be read");
  table.rows = finder.find();
  if (const auto before = revived_before.find(table.file); before != revived_before.end())
    add_revived_before(table.rows, before->second);
  for (auto& problem : settle_with_log(table.rows, in_log)) table.problems.push_back(std::move(problem));
}

void LostTableFinder::look_at_large_objects(const RelationFile& file, const NamedRelation& relation,
                                            const std::vector<std::uint32_t>& blocks, const RowCounts& in_log) {
  auto& objects = found_.large_objects[file.database];
  objects.database = catalog_.database_name(file.database).value_or("");
  add_large_object_log(objects, relation, in_log);
  const auto path = catalog_.path_of(file);
  if (!path) {
    if (in_log.any()) objects.left_out.push_back("the tablespace of " + relation.name + " is not there");
    return;
  }
  const auto updater = [this](std::uint32_t multixact) { return updater_of(multixact); };
  const auto unreadable = pages_.read(*path, blocks, [&](std::uint32_t block, auto tuples) {
    add_large_object_page(objects, relation, block, tuples, lost_, updater);
  });
  if (unreadable > 0) {
    objects.left_out.push_back(std::to_string(unreadable) + " pages of " + relation.name +
                               " are damaged, or cannot be read");
  }
}

void LostTableFinder::look_at_toast(const RelationFile& file, const std::vector<std::uint32_t>& blocks) {
  std::vector<RowPointer> gone;
  pages_.read(*catalog_.path_of(file), blocks, [&](std::uint32_t block, auto tuples) {
    for (const auto& tuple : tuples) {
      if (!tuple.xmax_invalid && lost_.contains(tuple.xmax)) gone.push_back({block, tuple.offset});
    }
  });
  if (!gone.empty()) found_.toast.emplace(file, std::move(gone));
}

std::uint32_t LostTableFinder::updater_of(std::uint32_t multixact) {
  const auto known = updaters_.find(multixact);
  if (known != updaters_.end()) return known->second;
  const auto member = ask_isolated(server_, kMaintenanceDatabase,
                                   "SELECT xid FROM pg_get_multixact_members('" + std::to_string(multixact) +
                                       "') WHERE mode IN ('upd', 'nokeyupd')");
  const bool any = member && !member->rows.empty() && member->rows[0][0];
  return updaters_[multixact] = any ? static_cast<std::uint32_t>(std::stoul(*member->rows[0][0])) : 0;
}

void LostTableFinder::describe(LostTable& table) {
  auto described = table.database.empty() ? Result<void>(Error{"the name of its database is not known"})
                                          : let_in(server_, table.database);
  if (described) described = describe_lost_table(server_, table);
  if (!described) {
    table.left_out.push_back(described.error().message);
  } else if (table.columns.empty()) {
    table.left_out.emplace_back("the server knows no columns of it");
  }
}

}  // namespace pgkeel
