// Room on the disk for what is put beside a data directory or into the quarantine: how much it takes, whether it shares
// its blocks with what it is copied from, and whether the file systems have room for it. Blocking; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"

namespace pgkeel {

// Why something could not be put in its place. kNoRoom: a way that takes less, or another place, may do.
struct PlacingError {
  enum class Kind { kNoRoom, kOther };
  Kind kind = Kind::kOther;
  std::string message;
};

struct RoomNeed {
  std::string folder;  // it is, or will be, in there
  std::uint64_t bytes = 0;
};

// Whether each file system has room for all that is to come onto it, with a twentieth to spare: a disk that is full to
// the brim stops more than this. The message names a folder on it.
Result<void, PlacingError> check_room(const std::vector<RoomNeed>& needs, const std::string& for_what);

// Why something small could not be written in `folder`: for want of room where there is none left at all, be it for
// bytes or for files.
PlacingError problem_in(const std::string& folder, const Error& problem);

// Whether a line in which a program of the C locale complains is for want of room here. Where it hands on the error of
// a server elsewhere, that is for want of room there. (The disks tell nothing any more: pg_basebackup removes what it
// has written before it ends.)
bool complains_of_room(std::string_view line);

// Bytes on the disk of a folder with all below it; no link is followed.
std::uint64_t disk_bytes_below(const std::string& folder);

// The links in a data directory to what it has elsewhere: its log and its tablespaces.
std::vector<std::string> links_of(const std::string& data_directory);

// Bytes on the disk of a data directory, with what it has elsewhere.
std::uint64_t disk_bytes_of(const std::string& data_directory);

// What a copy of a data directory in `folder` would take there: a part of it (itself, its log, a tablespace) that is on
// a file system where both can share blocks takes nothing.
std::uint64_t disk_bytes_of_copy(const std::string& data_directory, const std::string& folder);

}  // namespace pgkeel
