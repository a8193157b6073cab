// A page of a table's file, read without a server: which row versions lie on it, dead ones too. Layout: PostgreSQL's
// bufpage.h and htup_details.h, the same in versions 13 to 17. Every offset is checked before it is followed. Pure. Any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pgkeel {

struct RowPointer {  // a tid
  std::uint32_t block = 0;
  std::uint16_t offset = 0;

  friend auto operator<=>(const RowPointer&, const RowPointer&) = default;
};

// One version of a row.
struct HeapTuple {
  std::uint16_t offset = 0;   // its line pointer, from 1 on
  std::uint32_t xmin = 0;     // who inserted it, also where that has been frozen since
  std::uint32_t xmax = 0;     // who deleted, replaced or locked it; or a multixact of such
  RowPointer next;            // the version that replaced it; itself where none did
  bool xmin_invalid = false;  // known to have been rolled back
  bool xmax_invalid = false;  // nobody, or rolled back
  bool xmax_is_multi = false;
  bool xmax_locks_only = false;
  bool is_update = false;     // it replaced another version
  bool is_heap_only = false;  // likewise, on the same page, and no indexed column was changed by that
  bool moved_to_partition = false;
  bool keys_updated = false;        // by xmax: it was deleted, or a column of a unique index was changed
  std::span<const std::byte> data;  // its columns; points into the page
};

// Whether it is a page of a table, or one that was never written to.
bool is_heap_page(std::span<const std::byte> page);

// In the order of their line pointers. Nothing where this is no page of a table.
std::vector<HeapTuple> read_heap_page(std::span<const std::byte> page);

// Makes these versions look as if nobody had deleted or replaced them. The page's checksum is wrong afterwards.
void revive_tuples(std::span<std::byte> page, std::span<const std::uint16_t> offsets);

}  // namespace pgkeel
