// postmaster.pid of a data directory: what a running server says of itself, and a crashed one leaves behind
// (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_*). Reads a small file. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>

namespace pgkeel {

struct PostmasterFile {
  pid_t pid = 0;                           // above 1
  std::optional<std::int64_t> started_at;  // seconds since 1970
  std::optional<std::uint16_t> port;       // absent while the server starts
  std::string socket_folder;
  std::string status;  // "starting", "ready", "standby", "stopping"
};

// Nothing where there is no such file, none that can be read, or one of a single-user server.
std::optional<PostmasterFile> read_postmaster_file(const std::string& data_directory);

}  // namespace pgkeel
