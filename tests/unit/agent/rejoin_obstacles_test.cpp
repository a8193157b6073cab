// What a rejoin needs, taken away: it says what to mend, and succeeds once that is mended.
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <sys/mount.h>

#include <doctest/doctest.h>

#include "tests/unit/agent/agent_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// A file system of its own, for this process and those that it starts from now on: it goes with them.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& folder) : folder_(folder) {
    std::filesystem::create_directory(folder_);
    made_ = unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
            mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=12m,mode=0777") == 0;
  }
  ~SmallDisk() {
    if (made_) umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] bool enlarge() const {
    return mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, "size=600m,mode=0777") == 0;
  }

 private:
  std::string folder_;
  bool made_ = false;
};

std::size_t entries_in(const std::string& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("no room for the new data directory: that is said, nothing is left behind, and with room it succeeds") {
  ServerPair pair;
  const SmallDisk disk(pair.folder.path() + "/small");
  if (!disk.made()) {
    MESSAGE("not tested: no file system may be mounted here");
    return;
  }
  auto settings = pair.b->local();
  settings.data_directory = pair.folder.path() + "/small/c";
  const LocalServer server("c", {"127.0.0.1", free_port()}, settings);
  ServerPair::prepare_upstream(*pair.a, "c");

  const auto refused = pair.rejoin(server, ServerPair::upstream(*pair.a));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("No space left on device") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(settings.data_directory));
  for (const auto& entry : std::filesystem::directory_iterator(pair.folder.path() + "/small"))
    CHECK(entry.path().filename().string().find(".new-") == std::string::npos);

  REQUIRE(disk.enlarge());
  const auto report = pair.rejoin(server, ServerPair::upstream(*pair.a));
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(pair.a->wait_streams("c"));
  CHECK(server.fence(10s));
}

TEST_CASE(
    "pg_hba.conf does not let the replication role in: that is said, nothing is touched, and with the line it "
    "succeeds") {
  ServerPair pair;
  pair.diverge();
  const auto hba = pair.b->data_directory() + "/pg_hba.conf";
  std::ofstream(hba, std::ios::trunc) << "host all postgres 127.0.0.1/32 trust\n";
  pair.b->query("SELECT pg_reload_conf()");
  const auto entries = entries_in(pair.folder.path());
  REQUIRE(wait_until([&] {
    const auto refused = pair.rejoin(*pair.a, *pair.b);
    return !refused && refused.error().message.find("no pg_hba.conf entry for replication") != std::string::npos;
  }));
  CHECK_FALSE(pair.a->is_running());
  CHECK(entries_in(pair.folder.path()) == entries);

  std::ofstream(hba, std::ios::app) << "host all,replication pgkeel_repl 127.0.0.1/32 trust\n";
  pair.b->query("SELECT pg_reload_conf()");
  const auto report = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}
