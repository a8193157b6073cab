// The pages of a stopped server's tables, read and changed in their files. Blocking; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/heap_page.h"

namespace pgkeel {

class LostPages {
 public:
  // `segment_blocks`: how many a file has before the next one begins.
  LostPages(std::uint32_t block_bytes, std::uint32_t segment_blocks);

  [[nodiscard]] std::uint32_t block_bytes() const { return block_bytes_; }

  // `path`: of the table's first file. What is not there is left out: it was truncated away.
  void read(const std::string& path, const std::vector<std::uint32_t>& blocks,
            const std::function<void(std::uint32_t block, std::span<const HeapTuple>)>& use) const;

  // See revive_tuples(). `rows` ascend.
  Result<void> revive(const std::string& path, const std::vector<RowPointer>& rows) const;

 private:
  [[nodiscard]] std::string file_of(const std::string& path, std::uint32_t block) const;

  std::uint32_t block_bytes_;
  std::uint32_t segment_blocks_;
};

}  // namespace pgkeel
