// The note of a rejoin, which the server's user may write too.
#include "replication/agent/rejoin_marker.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/agent/fake_data_directory.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("a marker that names a folder which is not beside the data directory is not believed") {
  const FakeServer server;
  const RejoinMarker marker(server.directory);
  std::filesystem::create_directory(marker.path());
  const auto read_with = [&](const std::string& new_directory, const std::string& moved_aside) {
    std::ofstream(marker.path() + "/progress.json")
        << nlohmann::json{{"step", "swap"}, {"new_directory", new_directory}, {"moved_aside", moved_aside}};
    return marker.read();
  };
  const auto made = server.directory.beside(".new-20261123T081530.123Z");
  const auto moved = server.directory.beside(".replaced-20261123T081530.123Z");
  CHECK(read_with(made, moved));
  CHECK(read_with(made, ""));
  for (const auto& forged :
       {std::string("/etc"), made + "/../../space", made + "/global", moved, std::string("data")}) {
    CAPTURE(forged);
    const auto read = read_with(forged, moved);
    REQUIRE_FALSE(read);
    CHECK(read.error().message == marker.path() + "/progress.json names what no rejoin makes");
  }
  for (const auto& forged : {std::string("/etc/cron.d/x"), moved + "/../../space", made}) {
    CAPTURE(forged);
    CHECK_FALSE(read_with(made, forged));
  }
}
