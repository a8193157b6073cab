// Pages of a data directory as they were before an export in place changed them behind its server's back: kept in a
// file until they are put back, so that neither a checksum nor a deleted row is left wrong there. The file has its name
// only once it is whole and on the disk. Blocking; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>

#include "proxy/base/result.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {

class SavedPages {
 public:
  SavedPages(std::string file, std::string data_directory);

  // `path`: a file below the data directory. No page twice.
  Result<void> add(const std::string& path, std::uint64_t position, std::span<const std::byte> page);
  Result<void> finish();

 private:
  std::string file_;
  std::string data_directory_;
  std::ofstream stream_;
};

// Writes them where they were, into the directory of a stopped server, as `owner` of that; then the file goes. Done
// where there is none.
Result<void> put_back_pages(const std::string& file, const std::string& data_directory, const FileOwner& owner);

}  // namespace pgkeel
