#include "replication/agent/lost_pages.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace pgkeel {
namespace {

constexpr std::uint32_t kUsualBlockBytes = 8192;
constexpr std::uint64_t kUsualSegmentBytes = std::uint64_t{1} << 30U;

std::streamsize as_size(std::size_t bytes) {
  return static_cast<std::streamsize>(bytes);
}

char* as_text(std::vector<std::byte>& page) {
  return reinterpret_cast<char*>(page.data());
}

}  // namespace

LostPages::LostPages(std::uint32_t block_bytes, std::uint32_t segment_blocks)
    : block_bytes_(block_bytes == 0 ? kUsualBlockBytes : block_bytes),
      segment_blocks_(segment_blocks == 0 ? static_cast<std::uint32_t>(kUsualSegmentBytes / block_bytes_)
                                          : segment_blocks) {}

std::string LostPages::file_of(const std::string& path, std::uint32_t block) const {
  const auto segment = block / segment_blocks_;
  return segment == 0 ? path : path + "." + std::to_string(segment);
}

std::uint64_t LostPages::read(const std::string& path, const std::vector<std::uint32_t>& blocks,
                              const std::function<void(std::uint32_t, std::span<const HeapTuple>)>& use) const {
  std::ifstream file;
  std::string opened;
  std::uint64_t file_bytes = 0;
  std::uint64_t unreadable = 0;
  std::vector<std::byte> page(block_bytes_);
  for (const auto block : blocks) {
    if (const auto name = file_of(path, block); name != opened) {
      std::error_code absent;
      file = std::ifstream(name, std::ios::binary);
      file_bytes = std::filesystem::file_size(name, absent);
      if (absent) file_bytes = 0;
      opened = name;
    }
    const auto begin = std::size_t{block % segment_blocks_} * block_bytes_;
    if (begin + block_bytes_ > file_bytes) continue;
    file.clear();
    file.seekg(as_size(begin));
    if (file.read(as_text(page), as_size(page.size())) && is_heap_page(page)) {
      use(block, read_heap_page(page));
    } else {
      ++unreadable;
    }
  }
  return unreadable;
}

Result<void> LostPages::save(const std::string& path, const std::vector<RowPointer>& rows, SavedPages& saved) const {
  std::vector<std::byte> page(block_bytes_);
  for (std::size_t index = 0; index < rows.size(); ++index) {
    const auto block = rows[index].block;
    if (index > 0 && rows[index - 1].block == block) continue;
    const auto name = file_of(path, block);
    const auto begin = std::size_t{block % segment_blocks_} * block_bytes_;
    std::ifstream file(name, std::ios::binary);
    file.seekg(as_size(begin));
    if (!file.read(as_text(page), as_size(page.size()))) return Error{"cannot read a page of " + name};
    if (auto added = saved.add(name, begin, page); !added) return added;
  }
  return {};
}

Result<void> LostPages::revive(const std::string& path, const std::vector<RowPointer>& rows) const {
  std::vector<std::byte> page(block_bytes_);
  for (std::size_t begin = 0; begin < rows.size();) {
    const auto block = rows[begin].block;
    std::vector<std::uint16_t> offsets;
    for (; begin < rows.size() && rows[begin].block == block; ++begin) offsets.push_back(rows[begin].offset);
    const auto name = file_of(path, block);
    std::fstream file(name, std::ios::binary | std::ios::in | std::ios::out);
    const auto place = as_size(std::size_t{block % segment_blocks_} * block_bytes_);
    file.seekg(place);
    file.read(as_text(page), as_size(page.size()));
    if (file) {
      revive_tuples(page, offsets);
      file.seekp(place);
      file.write(as_text(page), as_size(page.size()));
      file.flush();
    }
    if (!file) return Error{"cannot change a page of " + name + ": " + std::strerror(errno)};
  }
  return {};
}

}  // namespace pgkeel
