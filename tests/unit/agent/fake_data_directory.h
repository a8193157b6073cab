// Something with the shape of a data directory, with its WAL and a tablespace elsewhere. One thread.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "replication/agent/data_directory.h"
#include "replication/agent/quarantine.h"
#include "tests/support/temporary_folder.h"

namespace pgkeel::test {

class FakeServer {
 public:
  // `disk`: the folder that its data directory is in; empty: the test's.
  explicit FakeServer(const std::string& disk = "")
      : directory(
            {.data_directory = (disk.empty() ? folder.path() : disk) + "/data", .bin_directory = "", .os_user = ""}) {
    for (const auto& made : {directory.path(), directory.file("global"), directory.file("pg_tblspc"),
                             folder.path() + "/wal", folder.path() + "/space", folder.path() + "/space/PG_15"}) {
      std::filesystem::create_directory(made);
    }
    std::ofstream(directory.file("global/pg_control")) << "control";
    write("wal/000000010000000000000001", "log");
    write("space/PG_15/1", "rows");
    std::filesystem::create_directory_symlink(folder.path() + "/wal", directory.file("pg_wal"));
    const auto space = disk.empty() ? "../../space" : folder.path() + "/space";
    std::filesystem::create_directory_symlink(space, directory.file("pg_tblspc/16384"));
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder.path() + "/" + name) << text;
  }

  TemporaryFolder folder;
  DataDirectory directory;
  Divergence divergence{.node = "a",
                        .system_identifier = "7",
                        .timeline = 1,
                        .wal_end = Lsn{200},
                        .upstream = "b",
                        .upstream_timeline = 2,
                        .fork = Lsn{100},
                        .reason = "test"};
};

}  // namespace pgkeel::test
