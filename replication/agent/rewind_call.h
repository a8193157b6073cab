// How pg_rewind of a version is called. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace pgkeel {

struct RewindCall {
  std::vector<std::string> arguments;  // of pg_rewind
  // Of postgres, which has to recover a server that crashed first; empty: pg_rewind does that itself.
  std::vector<std::string> recovery;
};

// `config_file`: postgresql.conf, where it is not in the data directory.
RewindCall rewind_call(int major_version, const std::string& data_directory, const std::string& upstream,
                       const std::optional<std::string>& config_file);

}  // namespace pgkeel
