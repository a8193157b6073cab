// An empty host is made a standby by order, through its agent, while clients write.
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/e2e/agent_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// `b` is an empty host: its agent runs, its server does not, and its data directory is gone.
struct EmptyHost {
  EmptyHost() : cluster({}, {"auto_rejoin = false"}) {
    cluster.server("b").stop("immediate");
    std::filesystem::remove_all(data());
    REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) { return now["nodes"][1]["liveness"] == "dead"; }),
                    cluster.pgkeel->describe());
  }

  [[nodiscard]] std::filesystem::path data() const { return cluster.server("b").data_directory(); }
  [[nodiscard]] VerbResult provision() const { return cluster.pgkeel->run_verb({"provision", "test", "b", "--yes"}); }
  [[nodiscard]] bool leaves_a_note() const { return std::filesystem::exists(data().string() + ".pgkeel-provision"); }

  void check_refused(const std::string& why) const {
    const auto verb = provision();
    INFO(verb.output);
    CHECK(verb.exit_status == 1);
    CHECK_MESSAGE(verb.error_output.find(why) != std::string::npos, verb.error_output);
  }

  // The end of an order whose caller, or pgkeel, was lost meanwhile.
  void require_done() const {
    REQUIRE_MESSAGE(cluster.pgkeel->wait_for([](const auto& now) {
      return !now["orders"].empty() && now["orders"].back()["state"] != "running";
    }),
                    cluster.pgkeel->describe());
    const auto order = cluster.pgkeel->status()["orders"].back();
    CHECK_MESSAGE(order["state"] == "done", (order.dump() + cluster.pgkeel->describe()));
    CHECK(order["message"].get<std::string>().find("b streams from a, safe") == 0);
  }

  // `a` holds still in the middle of the copy while `act` happens.
  template <class Act>
  void in_the_middle_of_the_copy(const Act& act) {
    const std::size_t told_before = cluster.agent("b").log_text().size();
    std::jthread caller([this] { (void)provision(); });
    REQUIRE_MESSAGE(
        wait_until([&] { return cluster.agent("b").log_text().find("copying a", told_before) != std::string::npos; }),
        cluster.pgkeel->describe());
    cluster.server("a").freeze_tree();
    act();
    cluster.server("a").thaw_tree();
    require_done();
  }

  AgentCluster cluster;
};

}  // namespace

TEST_CASE("an empty host becomes a safe standby under a writing workload, and what is not empty is never touched") {
  EmptyHost host;
  auto& pgkeel = *host.cluster.pgkeel;
  std::filesystem::create_directory(host.data());
  const auto file = host.data() / "somebody's";
  std::ofstream(file) << "notes\n";
  host.check_refused("is not empty, and no data directory of PostgreSQL; nothing was touched");
  CHECK(std::filesystem::exists(file));
  CHECK_FALSE(host.leaves_a_note());
  std::ofstream(host.data() / "PG_VERSION") << "15\n";
  host.check_refused("the data directory of b holds a server already; nothing was touched: `pgkeel rejoin`");
  std::filesystem::remove_all(host.data());

  CHECK(pgkeel.run_verb({"maintenance", "on", "test", "b", "--yes"}).exit_status == 0);
  host.check_refused("b is under maintenance since");
  CHECK(pgkeel.run_verb({"maintenance", "off", "test", "b", "--yes"}).exit_status == 0);

  Writers writers(pgkeel.conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto verb = host.provision();
  INFO(verb.output);
  REQUIRE_MESSAGE(verb.exit_status == 0, verb.error_output);
  CHECK(verb.output.find("copying a: 100 %") != std::string::npos);
  CHECK(verb.output.find("b streams from a, safe: a standby of a by basebackup") != std::string::npos);
  REQUIRE_MESSAGE(pgkeel.wait_normal("a"), pgkeel.describe());
  CHECK(writers.wait_for_more(20));
  writers.stop();
  host.cluster.check_roles("a", "b");
  REQUIRE(host.cluster.server("a").wait_caught_up("b"));
  CHECK(writers.count_lost(host.cluster.server("b").conninfo()) == 0);
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
  CHECK_FALSE(host.leaves_a_note());
  host.check_refused("b answers already: it is no empty host");
}

TEST_CASE("a provision outlives its caller, pgkeel and the agent, killed in the middle of the copy") {
  EmptyHost host;
  auto& cluster = host.cluster;
  host.in_the_middle_of_the_copy([&] {
    cluster.pgkeel->kill();
    cluster.pgkeel->start();
  });
  cluster.check_roles("a", "b");

  cluster.server("b").stop("immediate");
  std::filesystem::remove_all(host.data());
  REQUIRE(cluster.pgkeel->wait_for([](const auto& now) { return now["nodes"][1]["liveness"] == "dead"; }));
  host.in_the_middle_of_the_copy([&] {
    cluster.agent("b").kill();
    cluster.agent("b").start();
  });
  cluster.check_roles("a", "b");
  CHECK_MESSAGE(cluster.event_with("; it is begun again") != "", cluster.pgkeel->describe());
  CHECK_FALSE(host.leaves_a_note());
}

TEST_CASE("where the replication role is not let in, the order says so, and nothing is left behind") {
  EmptyHost host;
  host.cluster.server("a").query("ALTER ROLE pgkeel_repl NOREPLICATION");
  host.check_refused("does not let pgkeel_repl replicate");
  CHECK_FALSE(std::filesystem::exists(host.data()));
  CHECK_FALSE(host.leaves_a_note());
  host.cluster.server("a").query("ALTER ROLE pgkeel_repl REPLICATION");
  CHECK(host.provision().exit_status == 0);
  host.cluster.check_roles("a", "b");
}
