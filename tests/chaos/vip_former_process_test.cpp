// Sessions in TLS stay in the process that made them when another one takes over from it (pgkeel restart). Here they
// came by the virtual IP, which leaves while they are there.
#include <csignal>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/chaos/cluster.h"
#include "tests/chaos/watches.h"
#include "tests/support/namespaces_work.h"
#include "tests/support/sql_connection.h"
#include "tests/support/successor.h"
#include "tests/support/test_certificates.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::chaos;
using namespace pgkeel::test;

namespace {

// A leader that has taken over from another process, in which two sessions in TLS are left, by the virtual IP and by
// its host's address: in transactions, as one that is idle ends with its next statement.
struct Setup {
  Setup() {
    encrypted = connect("require");
    encrypted->query("begin");
    at_own_address = connect_to(cluster.pgkeels().conninfo_of(leader), "require");
    at_own_address->query("begin");
    process = &cluster.pgkeels().process(leader);
    const auto at_host = cluster.network().visit(leader);
    main = std::make_unique<Successor>(*process);
    REQUIRE_MESSAGE(wait_serves(*process, main->pid()), process->describe());
    REQUIRE_MESSAGE(cluster.pgkeels().wait_until_all_route(), cluster.describe());
    REQUIRE(encrypted->next_error() == "none");
    REQUIRE_MESSAGE(wait_until([&] { return process->status()["draining_sessions"] == 2; }), process->describe());
    REQUIRE(process->running());
    REQUIRE_FALSE(encrypted->has_heard());
    REQUIRE_FALSE(at_own_address->has_heard());
  }

  // Through the virtual IP. Throws SqlError.
  std::unique_ptr<SqlConnection> connect(const std::string& ssl_mode) {
    return connect_to(cluster.pgkeels().conninfos().front(), ssl_mode);
  }
  std::unique_ptr<SqlConnection> connect_to(const std::string& conninfo, const std::string& ssl_mode) {
    const auto at_host = cluster.network().visit(kClientsHost);
    return std::make_unique<SqlConnection>(conninfo + " sslmode=" + ssl_mode);
  }

  // Whoever held the address before, somebody else does, and clients get through.
  void check_that_another_one_serves() {
    CHECK_MESSAGE(wait_until([&] {
                    const std::string now = cluster.pgkeels().leader();
                    return !now.empty() && now != leader;
                  }),
                  cluster.describe());
    CHECK_MESSAGE(wait_until([&] { return vip.holder() != leader; }), cluster.describe());
    CHECK(connect("require")->next_error() == "none");
    CHECK(vip.moments_with_two() == 0);
  }

  TemporaryFolder folder;
  TestCertificates certificates{folder.path()};
  Cluster cluster{
      {.with_disks = false, .pgkeels = 2, .with_vip = true, .cluster_lines = {certificates.client_tls("allow")}}};
  VipWatch vip{cluster.network(), cluster.pgkeels().names(), kVirtualAddress};
  const std::string leader = cluster.pgkeels().leader();
  std::unique_ptr<SqlConnection> encrypted;
  std::unique_ptr<SqlConnection> at_own_address;
  PgkeelProcess* process = nullptr;  // the former one
  std::unique_ptr<Successor> main;
};

}  // namespace

TEST_CASE("the leader is ended in order: a session in its former process gets 57P01, and another one serves") {
  if (!namespaces_work()) return;
  Setup setup;
  const auto clear = setup.connect("disable");
  ::kill(setup.main->pid(), SIGTERM);
  CHECK(wait_until([&] { return setup.encrypted->has_heard(); }));
  CHECK(setup.encrypted->next_error() == "57P01");
  CHECK(wait_until([&] { return setup.at_own_address->has_heard(); }));
  CHECK(setup.at_own_address->next_error() == "57P01");
  CHECK(wait_until([&] { return clear->has_heard(); }));
  CHECK(clear->next_error() == "57P01");
  setup.check_that_another_one_serves();
  CHECK(wait_until([&] { return !setup.process->running() && !setup.main->process().running(); }));
}

TEST_CASE("the leader is restarted again while sessions are left in its first process: they go on, and end in order") {
  if (!namespaces_work()) return;
  Setup setup;
  const auto at_host = setup.cluster.network().visit(setup.leader);
  Successor third(*setup.process);
  REQUIRE_MESSAGE(wait_serves(*setup.process, third.pid()), setup.process->describe());
  CHECK(setup.encrypted->next_error() == "none");
  setup.encrypted->query("commit");
  CHECK(setup.encrypted->next_error() == "57P01");
  setup.at_own_address->query("commit");
  CHECK(wait_until([&] { return !setup.process->running() && !setup.main->process().running(); }));
  CHECK(setup.connect("require")->next_error() == "none");
  CHECK(setup.cluster.pgkeels().leader() == setup.leader);
}

TEST_CASE("the leader is killed: a session in its former process gets 57P01 at once, and that process ends") {
  if (!namespaces_work()) return;
  Setup setup;
  ::kill(setup.main->pid(), SIGKILL);
  CHECK(wait_until([&] { return setup.encrypted->has_heard(); }));
  CHECK(setup.encrypted->next_error() == "57P01");
  CHECK(wait_until([&] { return setup.at_own_address->has_heard(); }));
  CHECK(setup.at_own_address->next_error() == "57P01");
  CHECK(wait_until([&] { return !setup.process->running(); }));
  setup.check_that_another_one_serves();
}

// The kernel has taken the virtual IP away by then, so who came by that hears of it only when he sends something.
TEST_CASE(
    "the leader stands still: sessions in its former process end when its lease does, and write nothing any more") {
  if (!namespaces_work()) return;
  Setup setup;
  setup.encrypted->query("create table late (id int)");
  ::kill(setup.main->pid(), SIGSTOP);
  CHECK_MESSAGE(wait_until([&] { return !setup.process->running(); }), setup.cluster.describe());
  CHECK(setup.process->log_text().find("the clients that are left in this process are ended") != std::string::npos);
  CHECK(setup.at_own_address->next_error() == "57P01");
  setup.check_that_another_one_serves();
  CHECK(setup.encrypted->next_error() != "none");
  CHECK(setup.connect("require")->value("select to_regclass('late') is null") == "t");
  ::kill(setup.main->pid(), SIGCONT);
  CHECK_MESSAGE(setup.cluster.pgkeels().wait_until_all_route(), setup.cluster.describe());
  CHECK(setup.vip.moments_with_two() == 0);
}
