#include "replication/state/state_directory.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include <doctest/doctest.h>

#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace std::chrono_literals;

TEST_CASE("what is stored is loaded by the next process") {
  const test::TemporaryFolder folder;
  ClusterMemory memory;
  memory.phase = Phase::kSteady;
  memory.epoch = 3;
  memory.primary = "b";
  {
    const auto state = StateDirectory::open(folder.path() + "/state");
    REQUIRE(state);
    CHECK(state->load("orders").value() == ClusterMemory{});
    REQUIRE(state->store("orders", memory));
  }
  const auto state = StateDirectory::open(folder.path() + "/state");
  REQUIRE(state);
  CHECK(state->load("orders").value() == memory);
}

TEST_CASE("a second pgkeel on the same state is refused") {
  const test::TemporaryFolder folder;
  const auto first = StateDirectory::open(folder.path());
  REQUIRE(first);
  const auto second = StateDirectory::open(folder.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("another pgkeel") != std::string::npos);
}

TEST_CASE("who takes over waits for a process that ends to leave its state") {
  const test::TemporaryFolder folder;
  auto dying = std::make_optional(StateDirectory::open(folder.path()));
  REQUIRE(*dying);
  std::thread end([&] {
    std::this_thread::sleep_for(50ms);
    dying.reset();
  });
  const auto taken = StateDirectory::open(folder.path(), 1h);
  end.join();
  CHECK(taken);
}

TEST_CASE("a damaged state file is an error that says what to do, not an empty memory") {
  const test::TemporaryFolder folder;
  const auto state = StateDirectory::open(folder.path());
  REQUIRE(state);
  REQUIRE(state->store("orders", ClusterMemory{}));
  std::ofstream(folder.path() + "/cluster-orders.state", std::ios::app) << "x";
  const auto loaded = state->load("orders");
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().message.find("--adopt") != std::string::npos);
}

TEST_CASE("a folder that cannot be made is an error") {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  CHECK_FALSE(StateDirectory::open(folder.path() + "/file/state"));
}
