#include "replication/agent/catalog_files.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "proxy/io/durable_file.h"
#include "replication/agent/heap_page.h"
#include "replication/agent/oids.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;

// Fixed numbers of PostgreSQL (pg_class.dat, pg_namespace.dat).
constexpr std::uint32_t kPgDatabase = 1262;
constexpr std::uint32_t kPgAuthid = 1260;
constexpr std::uint32_t kPgClass = 1259;
constexpr std::uint32_t kPgNamespace = 2615;
constexpr std::uint32_t kBootstrapSuperuser = 10;
constexpr std::uint32_t kFirstNormalOid = 16384;
constexpr std::uint32_t kFilenodeMapMagic = 0x592717;

// Where columns stand in a row: the first ones of these catalogs have fixed widths and are never null.
constexpr std::size_t kNameBytes = 64;
constexpr std::size_t kNameBegin = 4;
constexpr std::size_t kNameEnd = kNameBegin + kNameBytes;
constexpr std::size_t kRelnamespace = 68;
constexpr std::size_t kRelfilenode = 88;
constexpr std::size_t kReltoastrelid = 108;
constexpr std::size_t kRelkind = 115;
constexpr std::size_t kRelispartition = 127;
constexpr std::size_t kClassRowBytes = kRelispartition + 1;

std::uint32_t number_at(std::span<const std::byte> bytes, std::size_t position) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

std::string name_in(std::span<const std::byte> row) {
  const auto* text = reinterpret_cast<const char*>(row.data() + kNameBegin);
  return {text, strnlen(text, kNameBytes)};
}

// A version that nobody has deleted counts more than one that is gone; of two such the newer one.
struct Version {
  bool gone = false;
  std::uint32_t xmin = 0;

  [[nodiscard]] bool better_than(const Version& other) const {
    if (gone != other.gone) return other.gone;
    return static_cast<std::int32_t>(xmin - other.xmin) > 0;
  }
};

// Calls `use` with every version of every row of a table whose files begin at `path`, with at least `bytes_min` of
// data.
void for_each_row(const std::string& path, std::uint32_t block_bytes, std::size_t bytes_min,
                  const std::function<void(std::span<const std::byte>, const Version&)>& use) {
  std::vector<std::byte> page(block_bytes);
  for (int segment = 0;; ++segment) {
    std::ifstream file(segment == 0 ? path : path + "." + std::to_string(segment), std::ios::binary);
    if (!file) return;
    while (file.read(reinterpret_cast<char*>(page.data()), static_cast<std::streamsize>(page.size()))) {
      for (const auto& tuple : read_heap_page(page)) {
        if (tuple.data.size() < bytes_min || tuple.xmin_invalid) continue;
        use(tuple.data, {!tuple.xmax_invalid && !tuple.xmax_locks_only, tuple.xmin});
      }
    }
  }
}

std::map<std::uint32_t, std::uint32_t> read_filenode_map(const std::string& folder) {
  std::map<std::uint32_t, std::uint32_t> mapped;
  const auto text = read_file(folder + "/pg_filenode.map", 65536);
  if (!text) return mapped;
  const auto bytes = std::as_bytes(std::span(*text));
  if (bytes.size() < 8 || number_at(bytes, 0) != kFilenodeMapMagic) return mapped;
  const std::size_t count = number_at(bytes, 4);
  for (std::size_t index = 0; index < count && 8 + (index + 1) * 8 <= bytes.size(); ++index) {
    mapped[number_at(bytes, 8 + index * 8)] = number_at(bytes, 12 + index * 8);
  }
  return mapped;
}

// pg_tblspc/<tablespace>/PG_<version>: there may be one of an older server beside it, which has no such database.
std::optional<std::string> in_tablespace(const files::path& tablespace, const std::string& name) {
  std::error_code ignored;
  for (const auto& entry : files::directory_iterator(tablespace, ignored)) {
    if (!entry.path().filename().string().starts_with("PG_")) continue;
    if (files::exists(entry.path() / name, ignored)) return (entry.path() / name).string();
  }
  return std::nullopt;
}

bool is_catalog_schema(const std::string& schema) {
  return schema == "pg_catalog" || schema == "information_schema";
}

}  // namespace

CatalogFiles::CatalogFiles(std::string data_directory, std::uint32_t block_bytes)
    : data_directory_(std::move(data_directory)), block_bytes_(block_bytes == 0 ? 8192 : block_bytes) {}

std::optional<std::string> CatalogFiles::folder_of(std::uint32_t database) const {
  if (database == 0) return data_directory_ + "/global";
  const auto name = std::to_string(database);
  std::error_code ignored;
  if (auto folder = data_directory_ + "/base/" + name; files::exists(folder + "/pg_filenode.map", ignored))
    return folder;
  for (const auto& entry : files::directory_iterator(data_directory_ + "/pg_tblspc", ignored)) {
    auto folder = in_tablespace(entry.path() / "", name);
    if (folder && files::exists(*folder + "/pg_filenode.map", ignored)) return folder;
  }
  return std::nullopt;
}

std::optional<std::string> CatalogFiles::path_of(const RelationFile& file) const {
  const auto number = std::to_string(file.number);
  const auto database = std::to_string(file.database);
  if (file.tablespace == kGlobalTablespace) return data_directory_ + "/global/" + number;
  if (file.tablespace == kDefaultTablespace) return data_directory_ + "/base/" + database + "/" + number;
  const auto tablespace = data_directory_ + "/pg_tblspc/" + std::to_string(file.tablespace);
  const auto folder = in_tablespace(files::path(tablespace) / "", database);
  return folder ? std::optional(*folder + "/" + number) : std::nullopt;
}

CatalogFiles::Catalog CatalogFiles::load(std::uint32_t database) const {
  Catalog catalog;
  const auto folder = folder_of(database);
  if (!folder) return catalog;
  catalog.mapped = read_filenode_map(*folder);
  const auto pg_class = catalog.mapped.find(kPgClass);
  if (pg_class == catalog.mapped.end()) return catalog;

  struct Row {
    NamedRelation relation;
    std::uint32_t schema = 0;
    Version version;
  };
  std::map<std::uint32_t, Row> rows;  // by file
  std::map<std::uint32_t, Version> newest_of_toast;
  for_each_row(*folder + "/" + std::to_string(pg_class->second), block_bytes_, kClassRowBytes,
               [&](std::span<const std::byte> data, const Version& version) {
                 auto file = number_at(data, kRelfilenode);
                 const auto oid = number_at(data, 0);
                 if (file == 0) {
                   const auto mapped = catalog.mapped.find(oid);
                   if (mapped == catalog.mapped.end()) return;  // a view: it has no file
                   file = mapped->second;
                 }
                 const auto known = rows.find(file);
                 if (known != rows.end() && !version.better_than(known->second.version)) return;
                 Row row;
                 row.relation.oid = oid;
                 row.relation.name = name_in(data);
                 row.relation.kind = static_cast<char>(data[kRelkind]);
                 row.relation.toast = number_at(data, kReltoastrelid);
                 row.relation.is_partition = data[kRelispartition] != std::byte{0};
                 row.schema = number_at(data, kRelnamespace);
                 row.version = version;
                 rows[file] = std::move(row);
               });

  std::map<std::uint32_t, std::pair<std::string, Version>> schemas;
  for (const auto& [file, row] : rows) {
    if (row.relation.oid != kPgNamespace) continue;
    for_each_row(*folder + "/" + std::to_string(file), block_bytes_, kNameEnd,
                 [&](std::span<const std::byte> data, const Version& version) {
                   const auto known = schemas.find(number_at(data, 0));
                   if (known != schemas.end() && !version.better_than(known->second.second)) return;
                   schemas[number_at(data, 0)] = {name_in(data), version};
                 });
  }
  for (auto& [file, row] : rows) {
    const auto schema = schemas.find(row.schema);
    row.relation.schema = schema == schemas.end() ? "" : schema->second.first;
    row.relation.is_catalog = is_catalog_schema(row.relation.schema);
    if (row.relation.toast != 0) {
      auto& newest = newest_of_toast[row.relation.toast];
      if (!catalog.by_toast.contains(row.relation.toast) || row.version.better_than(newest)) {
        newest = row.version;
        catalog.by_toast[row.relation.toast] = row.relation;
      }
    }
    catalog.by_file[file] = row.relation;
  }
  return catalog;
}

const CatalogFiles::Catalog& CatalogFiles::catalog_of(std::uint32_t database) {
  const auto found = catalogs_.find(database);
  return found != catalogs_.end() ? found->second : catalogs_.emplace(database, load(database)).first->second;
}

std::optional<NamedRelation> CatalogFiles::relation(const RelationFile& file) {
  if (file.database == 0) {
    NamedRelation shared;
    shared.schema = "pg_catalog";
    shared.name = std::to_string(file.number);
    shared.is_catalog = true;
    return shared;
  }
  const auto& catalog = catalog_of(file.database);
  const auto found = catalog.by_file.find(file.number);
  if (found != catalog.by_file.end()) return found->second;
  if (file.number >= kFirstNormalOid) return std::nullopt;
  NamedRelation own;
  own.oid = file.number;
  own.schema = "pg_catalog";
  own.name = std::to_string(file.number);
  own.is_catalog = true;
  return own;
}

std::optional<NamedRelation> CatalogFiles::owner_of_toast(std::uint32_t database, std::uint32_t toast_oid) {
  const auto& catalog = catalog_of(database);
  const auto found = catalog.by_toast.find(toast_oid);
  return found == catalog.by_toast.end() ? std::nullopt : std::optional(found->second);
}

std::map<std::uint32_t, std::string> CatalogFiles::shared_names(std::uint32_t catalog) const {
  std::map<std::uint32_t, std::string> names;
  const auto mapped = read_filenode_map(data_directory_ + "/global");
  const auto file = mapped.find(catalog);
  if (file == mapped.end()) return names;
  std::map<std::uint32_t, Version> versions;
  for_each_row(data_directory_ + "/global/" + std::to_string(file->second), block_bytes_, kNameEnd,
               [&](std::span<const std::byte> data, const Version& version) {
                 const auto oid = number_at(data, 0);
                 if (versions.contains(oid) && !version.better_than(versions[oid])) return;
                 versions[oid] = version;
                 names[oid] = name_in(data);
               });
  return names;
}

std::optional<std::string> CatalogFiles::database_name(std::uint32_t database) {
  if (!databases_) databases_ = shared_names(kPgDatabase);
  const auto found = databases_->find(database);
  return found == databases_->end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::string> CatalogFiles::bootstrap_superuser() const {
  const auto names = shared_names(kPgAuthid);
  const auto found = names.find(kBootstrapSuperuser);
  return found == names.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace pgkeel
