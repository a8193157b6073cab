// The names behind the numbers in a log: databases, schemas and tables, read from the catalog's files of a stopped
// server without starting it. Dead versions of catalog rows count too, so that a table that was dropped still has its
// name. What was made since the last checkpoint may be in the log only: then it has no name here until the server has
// recovered. Reads files; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "replication/agent/wal_dump.h"

namespace pgkeel {

struct NamedRelation {
  std::uint32_t oid = 0;
  std::string schema;
  std::string name;
  char kind = 'r';  // as pg_class.relkind: r table, i index, S sequence, t TOAST table, m materialized view, …
  std::uint32_t toast = 0;  // oid of its TOAST table
  bool is_catalog = false;  // PostgreSQL's own
  bool is_partition = false;
};

class CatalogFiles {
 public:
  // `block_bytes`: of the server's pages.
  CatalogFiles(std::string data_directory, std::uint32_t block_bytes);

  // The relation that the file is of, or was of last.
  std::optional<NamedRelation> relation(const RelationFile& file);
  // The table that a TOAST table belongs to.
  std::optional<NamedRelation> owner_of_toast(std::uint32_t database, std::uint32_t toast_oid);
  std::optional<std::string> database_name(std::uint32_t database);
  // The superuser that initdb made, whatever it is called now.
  std::optional<std::string> bootstrap_superuser() const;

  // Where the file is: "base/5/16384" in the data directory; nothing where its tablespace is not there.
  [[nodiscard]] std::optional<std::string> path_of(const RelationFile& file) const;

 private:
  struct Catalog {
    std::map<std::uint32_t, NamedRelation> by_file;
    std::map<std::uint32_t, NamedRelation> by_toast;
    std::map<std::uint32_t, std::uint32_t> mapped;  // oid -> file, of pg_filenode.map
  };
  const Catalog& catalog_of(std::uint32_t database);
  Catalog load(std::uint32_t database) const;
  [[nodiscard]] std::optional<std::string> folder_of(std::uint32_t database) const;

  std::string data_directory_;
  std::uint32_t block_bytes_;
  std::map<std::uint32_t, Catalog> catalogs_;
  // The names of a shared catalog's rows, by oid.
  [[nodiscard]] std::map<std::uint32_t, std::string> shared_names(std::uint32_t catalog) const;

  std::optional<std::map<std::uint32_t, std::string>> databases_;
};

}  // namespace pgkeel
