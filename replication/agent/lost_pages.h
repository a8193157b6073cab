// The pages of a stopped server's tables, read and changed in their files. Blocking; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/heap_page.h"
#include "replication/agent/saved_pages.h"

namespace pgkeel {

class LostPages {
 public:
  // `segment_blocks`: how many a file has before the next one begins.
  LostPages(std::uint32_t block_bytes, std::uint32_t segment_blocks);

  [[nodiscard]] std::uint32_t block_bytes() const { return block_bytes_; }

  // `path`: of the table's first file. What is not there is left out: it was truncated away. Answers how many of these
  // pages are there and cannot be read, or are none of a table.
  std::uint64_t read(const std::string& path, const std::vector<std::uint32_t>& blocks,
                     const std::function<void(std::uint32_t block, std::span<const HeapTuple>)>& use) const;

  // Before revive(): the pages of these rows as they are. `rows` ascend.
  Result<void> save(const std::string& path, const std::vector<RowPointer>& rows, SavedPages& saved) const;

  // See revive_tuples(). `rows` ascend.
  Result<void> revive(const std::string& path, const std::vector<RowPointer>& rows) const;

 private:
  [[nodiscard]] std::string file_of(const std::string& path, std::uint32_t block) const;

  std::uint32_t block_bytes_;
  std::uint32_t segment_blocks_;
};

}  // namespace pgkeel
