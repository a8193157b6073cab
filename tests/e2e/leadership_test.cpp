// Who of two pgkeels leads: the leadership is handed over by order, and by a leader that alone does not hear from the
// primary; and what is configured differently is told. No agent and no local node: what is known is what is heard.
#include <future>
#include <map>
#include <memory>
#include <signal.h>
#include <string>

#include "proxy/handover/takeover.h"
#include "proxy/io/descriptor_link.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/support/agent_process.h"
#include "tests/support/etcd_server.h"
#include "tests/support/sql_connection.h"
#include "tests/support/successor.h"
#include "tests/support/tcp_relay.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// "one" reaches the primary a through a relay of its own.
struct Two {
  explicit Two(bool with_third = false) {
    servers.push_back(PostgresServer::primary(folder, "a"));
    servers.push_back(PostgresServer::standby_of(*servers.front(), "b"));
    relay = std::make_unique<TcpRelay>(servers.front()->port());
    std::vector<std::string> names = {"one", "two"};
    if (with_third) names.emplace_back("three");
    for (const std::string& name : names) {
      PgkeelOptions options;
      options.local_nodes = false;
      const std::string peer = "127.0.0.1:" + std::to_string(free_port());
      options.coordination_lines = {"etcd = [\"" + etcd.url() + "\"]", "name = \"" + name + "\"", "lease = \"4s\"",
                                    peer_line(peer, peer, certificates.peer())};
      folders[name] = std::make_unique<TemporaryFolder>();
      pgkeels[name] = std::make_unique<PgkeelProcess>(
          *folders[name], std::vector<PostgresServer*>{servers[0].get(), servers[1].get()}, options);
    }
    const ConfigFile file(of("one"));
    file.write(file.with_instead("\nport = " + std::to_string(servers.front()->port()),
                                 "\nport = " + std::to_string(relay->port())));
    of("one").start();
    REQUIRE_MESSAGE(of("one").wait_normal("a"), of("one").describe());
    of("two").start();
    REQUIRE_MESSAGE(of("two").wait_normal("a"), of("two").describe());
    // They have asked each other: they know the primary by different ports here.
    const auto port_alone = nlohmann::json::array({"cluster.test.node.a.port"});
    REQUIRE_MESSAGE(wait_until([&] { return differences_of("two", "one") == port_alone; }), of("one").describe());
    REQUIRE_MESSAGE(wait_until([&] { return differences_of("one", "two") == port_alone; }), of("two").describe());
    if (!with_third) return;
    of("three").start();
    REQUIRE_MESSAGE(of("three").wait_normal("a"), of("three").describe());
    REQUIRE_MESSAGE(wait_until([&] { return differences_of("three", "one") == port_alone; }), of("one").describe());
  }

  PgkeelProcess& of(const std::string& name) { return *pgkeels.at(name); }
  [[nodiscard]] bool leads(const std::string& name) { return of(name).status()["coordination"]["leads"] == true; }
  [[nodiscard]] bool told(const std::string& name, const std::string& words) { return has_event(of(name), words); }
  // By order, as soon as nothing is under way.
  void lead(const std::string& instead_of, const std::string& name) {
    VerbResult done;
    CHECK_MESSAGE(wait_until([&] {
                    done = of(instead_of).run_verb({"lead", "--to", name, "--yes"});
                    return done.exit_status == 0;
                  }),
                  done.error_output);
  }
  // An order that names nobody is refused so, as soon as nothing is under way that it would be refused for.
  [[nodiscard]] bool refuses_to_lead_away(const std::string& leader, const std::string& words) {
    VerbResult refused;
    const bool is_said = wait_until([&] {
      refused = of(leader).run_verb({"lead", "--yes"});
      return refused.error_output.find(words) != std::string::npos;
    });
    INFO(refused.error_output);
    CHECK(refused.exit_status == 1);
    return is_said;
  }
  // The member of this name, as the other one, or itself, sees it.
  [[nodiscard]] nlohmann::json member(const std::string& name, const std::string& seen_by) {
    const auto status = of(seen_by).status();
    for (const auto& member : status["coordination"]["members"]) {
      if (member["name"] == name) return member;
    }
    return nlohmann::json::object();
  }
  [[nodiscard]] nlohmann::json differences_of(const std::string& name, const std::string& seen_by) {
    return member(name, seen_by)["differs_in"];
  }

  EtcdServer etcd;
  TemporaryFolder folder;
  Certificates certificates{folder};
  std::vector<std::unique_ptr<PostgresServer>> servers;
  std::unique_ptr<TcpRelay> relay;
  std::map<std::string, std::unique_ptr<TemporaryFolder>> folders;
  std::map<std::string, std::unique_ptr<PgkeelProcess>> pgkeels;
};

}  // namespace

TEST_CASE("a leader that alone does not hear from the primary hands over; there is no failover before it dies") {
  Two both;
  Writers writers(both.of("two").conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto epoch = both.of("two").status()["epoch"];
  both.relay->cut();
  REQUIRE_MESSAGE(wait_until([&] { return both.leads("two"); }), both.of("one").describe());
  CHECK(both.told("one", "but pgkeel two hears from it: only the path from this one is cut, so there is no failover"));
  CHECK(both.told("one", "the leadership is handed over to pgkeel two: this one does not hear from the primary"));
  REQUIRE(writers.wait_for_more(20));
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
  CHECK(both.of("two").status()["epoch"] == epoch);
  CHECK(both.of("two").status()["route"] == "a");
  CHECK(both.of("one").status()["summary"].get<std::string>().find("pgkeel two hears from it") != std::string::npos);

  // Now it is dead for both.
  both.servers[0]->kill_tree();
  REQUIRE_MESSAGE(wait_until([&] { return both.of("two").status()["route"] == "b"; }), both.of("two").describe());
  REQUIRE_MESSAGE(writers.wait_for_more(20), both.of("two").describe());
  writers.stop();
  MESSAGE("the primary dies after the hand-over: longest gap ", to_milliseconds(writers.longest_gap()), " ms");
  CHECK(writers.count_lost(both.of("two").conninfo()) == 0);
  CHECK(both.leads("two"));
}

TEST_CASE("the leadership is handed over by order, and back; whoever is asked wrongly says why not") {
  Two both;
  Writers writers(both.of("one").conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto refused = both.of("two").run_verb({"lead", "--yes"});
  CHECK(refused.exit_status == 1);
  CHECK(refused.error_output == "pgkeel: lead is refused: pgkeel one leads: give the order to that one\n");
  const auto unknown = both.of("one").run_verb({"lead", "--to", "three", "--yes"});
  CHECK(unknown.exit_status == 1);
  CHECK(unknown.error_output == "pgkeel: lead is refused: there is no pgkeel three; there are: two\n");

  // As soon as it has heard that the other one hears from the primary.
  VerbResult done;
  REQUIRE_MESSAGE(wait_until([&] {
                    done = both.of("one").run_verb({"lead", "--yes"});
                    return done.exit_status == 0;
                  }),
                  done.error_output);
  CHECK(done.output.starts_with("pgkeel two leads; for "));
  MESSAGE(done.output);
  REQUIRE(wait_until([&] { return both.leads("two"); }));
  CHECK(both.told("one", "the leadership is handed over to pgkeel two: an operator ordered it"));
  REQUIRE(wait_until([&] { return both.told("two", "this pgkeel leads, and decides from now on"); }));
  REQUIRE_MESSAGE(both.of("two").wait_normal("a"), both.of("two").describe());

  const auto back = both.of("two").run_verb({"lead", "--to", "one", "--yes"});
  CHECK_MESSAGE(back.exit_status == 0, back.error_output);
  REQUIRE(wait_until([&] { return both.leads("one"); }));
  REQUIRE(writers.wait_for_more(20));
  writers.stop();
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
  MESSAGE("leadership handed over twice: longest gap ", to_milliseconds(writers.longest_gap()), " ms");
}

TEST_CASE("the leader is ended while another one drains: the third one leads") {
  Two three_of_them(true);
  SqlConnection open(three_of_them.of("two").conninfo());
  open.query("BEGIN");
  ::kill(three_of_them.of("two").pid(), SIGTERM);
  ::kill(three_of_them.of("one").pid(), SIGTERM);
  REQUIRE_MESSAGE(wait_until([&] { return three_of_them.leads("three"); }), three_of_them.of("three").describe());
  REQUIRE(wait_until([&] { return !three_of_them.of("one").running(); }));
  CHECK(three_of_them.of("one").log_text().find("the leadership is handed over to pgkeel three: this one is being") !=
        std::string::npos);
  CHECK(three_of_them.of("two").running());
  CHECK(three_of_them.of("three").log_text().find("pgkeel two leads") == std::string::npos);
  // Ordered before "three" has heard that "two" is ending, it is "three" again at once.
  VerbResult refused;
  CHECK_MESSAGE(wait_until([&] {
                  refused = three_of_them.of("three").run_verb({"lead", "--to", "two", "--yes"});
                  return refused.error_output == "pgkeel: lead is refused: pgkeel two is being ended\n";
                }),
                refused.error_output);
  CHECK(wait_until([&] { return three_of_them.leads("three"); }));
  open.query("COMMIT");
  REQUIRE(wait_until([&] { return !three_of_them.of("two").running(); }));
  CHECK(three_of_them.leads("three"));
}

// A path on which who is connected goes on, and nobody new gets through: the primary answers the probes of "one", and
// no session for the orders of its next term can be had.
TEST_CASE("a leader that is heard by the servers and gets no order to one of them hands over, and is not asked again") {
  Two both;
  both.lead("one", "two");
  REQUIRE_MESSAGE(wait_until([&] { return both.told("two", "this pgkeel leads, and decides from now on"); }),
                  both.of("two").describe());
  Writers writers(both.of("two").conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  both.relay->let_nobody_new_through();
  both.lead("two", "one");
  const auto cannot_decide = [&](const std::string& seen_by) {
    return both.member("one", seen_by)["cannot_decide"].dump().find("no order gets to a") != std::string::npos;
  };
  CHECK(wait_until([&] { return cannot_decide("one"); }));
  CHECK(wait_until([&] { return cannot_decide("two"); }));
  REQUIRE_MESSAGE(wait_until([&] { return both.leads("two"); }), both.of("one").describe());
  CHECK(both.told("one", "the leadership is handed over to pgkeel two: this one cannot decide for test: no order"));
  REQUIRE_MESSAGE(wait_until([&] { return both.of("two").status()["condition"] == "normal"; }),
                  both.of("two").describe());
  CHECK(metric(both.of("one"), "pgkeel_leadership_handed_over_total{reason=\"unable\"}") == 1);

  // It is not led by "one" again by itself; an order that names nobody passes it over, and says why.
  CHECK(both.refuses_to_lead_away("two", "pgkeel one says that it cannot decide for test: it led, and could not"));
  REQUIRE(writers.wait_for_more(20));
  writers.stop();
  CHECK(writers.statement_errors().empty());
  CHECK(both.of("two").status()["route"] == "a");
}

TEST_CASE(
    "pgkeel restart and pgkeel lead: what comes while the other one is under way is refused, and nobody notices") {
  Two both;
  Writers writers(both.of("two").conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  {
    // Somebody is about to take over from the leader.
    const auto link = connect_link(both.of("one").state_directory(), kHandoverSocket);
    REQUIRE(link);
    REQUIRE(wait_until([&] { return process_of(both.of("one"))["handover_is_under_way"] == true; }));
    CHECK(both.refuses_to_lead_away("one", "a restart in place is under way; try again when that is over"));
  }
  REQUIRE(wait_until([&] { return process_of(both.of("one"))["handover_is_under_way"] == false; }));

  // The heir does not take the leadership at once, and a process would take over from the one that gives it up.
  both.lead("one", "two");
  REQUIRE(wait_until([&] { return both.leads("two"); }));
  both.lead("two", "one");
  REQUIRE_MESSAGE(both.of("one").wait_normal("a"), both.of("one").describe());
  const std::size_t told_before = both.of("one").log_text().size();
  ::kill(both.of("two").pid(), SIGSTOP);
  auto order = std::async(std::launch::async, [&] {
    return both.of("one").run_verb({"lead", "--to", "two", "--yes"});
  });
  REQUIRE(wait_until([&] {
    return both.of("one").log_text().find("the leadership is handed over to pgkeel two", told_before) !=
           std::string::npos;
  }));
  {
    Successor too_early(both.of("one"));
    CHECK(wait_until([&] { return !too_early.process().running(); }));
    CHECK(both.of("one").log_text().find("the leadership is being handed over; try again") != std::string::npos);
  }
  ::kill(both.of("two").pid(), SIGCONT);
  order.wait();
  REQUIRE(wait_until([&] { return both.leads("one") != both.leads("two"); }));
  const std::string leader = both.leads("one") ? "one" : "two";
  const std::string other = leader == "one" ? "two" : "one";

  // The heir is restarted while it comes to lead, and restarted again while it gives that up.
  for (const auto& [from, to] : {std::pair(leader, other), std::pair(other, leader)}) {
    auto successor = std::make_unique<Successor>(both.of(other));
    both.lead(from, to);
    // One that comes while the leadership passes, or etcd is written to, ends, and its operator tries again.
    const bool served = wait_until([&] {
      if (!successor->process().running()) {
        CHECK(both.of(other).log_text().find("; try again; this process goes on") != std::string::npos);
        successor = std::make_unique<Successor>(both.of(other));
      }
      return process_of(both.of(other)).value("pid", pid_t{0}) == successor->pid();
    });
    REQUIRE_MESSAGE(served, both.of(other).describe());
    REQUIRE(wait_alone(both.of(other)));
    both.of(other).follow_by(std::move(successor->process()));
    REQUIRE_MESSAGE(wait_until([&] { return both.leads(to); }), both.of(to).describe());
    REQUIRE_MESSAGE(both.of(to).wait_normal("a"), both.of(to).describe());
  }
  REQUIRE(writers.wait_for_more(20));
  writers.stop();
  CHECK(writers.connect_errors().empty());
  CHECK(writers.count_lost(both.of("two").conninfo()) == 0);
}

TEST_CASE("while a failover is under way neither lead nor restart is carried out; ended then, the next one goes on") {
  Two both;
  Writers writers(both.of("two").conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  // It is promoted as soon as its startup process goes on.
  const pid_t startup =
      std::stoi(both.servers[1]->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"));
  ::kill(startup, SIGSTOP);
  both.servers[0]->kill_tree();
  REQUIRE_MESSAGE(wait_until([&] { return both.of("one").status()["phase"] == "promoting"; }),
                  both.of("one").describe());
  const std::string why = "cluster test: its route is on the move (promoting); try again when that is over";
  const auto lead = both.of("one").run_verb({"lead", "--yes"});
  CHECK(lead.exit_status == 1);
  CHECK(lead.error_output == "pgkeel: lead is refused: " + why + "\n");
  const auto restart = both.of("one").run_verb({"restart"});
  CHECK(restart.exit_status == 1);
  CHECK(restart.error_output == "pgkeel: the restart is refused: " + why + "\n");

  both.of("one").terminate();
  REQUIRE_MESSAGE(wait_until([&] { return both.leads("two"); }), both.of("two").describe());
  CHECK(both.of("two").status()["phase"] == "promoting");
  ::kill(startup, SIGCONT);
  REQUIRE_MESSAGE(wait_until([&] { return both.of("two").status()["route"] == "b"; }), both.of("two").describe());
  REQUIRE_MESSAGE(writers.wait_for_more(20), both.of("two").describe());
  writers.stop();
  CHECK(writers.count_lost(both.of("two").conninfo()) == 0);
}

TEST_CASE("a cluster that not every pgkeel serves: one that does comes to lead, and no route waits for the others") {
  Two both;
  const auto server = PostgresServer::primary(both.folder, "x");
  const std::uint16_t port = free_port();
  const ConfigFile file(both.of("two"));
  file.write(file.original() + "\n[cluster.more]\nlisten = \"127.0.0.1:" + std::to_string(port) +
             "\"\nmonitor = { user = \"postgres\", database = \"postgres\" }\n[[cluster.more.node]]\nname = \"x\"\n" +
             "host = \"127.0.0.1\"\nport = " + std::to_string(server->port()) + "\n");
  reload(both.of("two"));
  REQUIRE_MESSAGE(wait_until([&] { return both.leads("two"); }), both.of("one").describe());
  CHECK(both.told("one",
                  "the leadership is handed over to pgkeel two: this one cannot decide for more: its configuration "
                  "has no such cluster"));
  REQUIRE_MESSAGE(wait_until([&] { return both.of("two").status("more")["route"] == "x"; }), both.of("two").describe());
  SqlConnection client("host=127.0.0.1 port=" + std::to_string(port) + " user=postgres dbname=postgres");
  CHECK(client.value("SELECT 1") == "1");
  for (const auto& member : both.of("two").status("more")["coordination"]["members"]) {
    CHECK(member["follows_route"] == true);
    CHECK(member["cannot_decide"].is_null() == (member["name"] == "two"));
  }
  CHECK(both.refuses_to_lead_away("two", "pgkeel one does not hear from the primary of more"));
}

TEST_CASE("what a reload makes different is told, and that it is the same again") {
  Two both;
  const auto before = both.differences_of("two", "one");
  const ConfigFile file(both.of("two"));
  file.write(file.with_instead("failover_pause = \"0s\"", "failover_pause = \"1s\""));
  reload(both.of("two"));
  REQUIRE(wait_until([&] { return both.differences_of("two", "one").size() == 2; }));
  CHECK(both.differences_of("two", "one")[0] == "cluster.test.failover_pause");
  CHECK(both.told("one", "pgkeel two is configured differently in what all must have in common"));
  file.write(file.original());
  reload(both.of("two"));
  REQUIRE(wait_until([&] { return both.differences_of("two", "one") == before; }));
}
