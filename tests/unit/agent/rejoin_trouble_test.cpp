// Rejoins that are refused, cut off, and taken up again.
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <thread>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "tests/unit/agent/rejoin_fixture.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

// Whether a connection to the port is open, also where its server does not accept it any more.
bool somebody_connected_to(std::uint16_t port) {
  const auto found = run_checked(
      {.arguments = {"ss", "-Htn", "state", "established", "dport", "=", ":" + std::to_string(port)}, .limit = 20s});
  return found && !found->empty();
}

}  // namespace

TEST_CASE("pgkeel killed in a rewind: the half-changed directory is never started, the next rejoin rebuilds it") {
  ServerPair pair;
  pair.diverge();
  const auto reached = pair.folder.path() + "/reached";
  const auto programs = programs_with(pair.folder, "pg_rewind",
                                      "rm -rf " + pair.a->data_directory() + "/base " + pair.a->data_directory() +
                                          "/postgresql.conf; touch " + reached + "; exec sleep 600");
  const auto upstream = ServerPair::upstream(*pair.b);
  rejoin_and_kill(with_programs(*pair.a, programs), upstream, reached);

  const auto server = ServerPair::local(*pair.a);
  CHECK(server.look().rejoin_cut_off);
  const auto started = server.start(20s);
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("cut off") != std::string::npos);
  CHECK_FALSE(server.start_as_standby(upstream, 20s));
  CHECK_FALSE(pair.a->is_running());

  const auto report = pair.rejoin(server, upstream);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(has_all_rows_of_a(report->quarantine + "/data"));
  CHECK(std::filesystem::exists(report->moved_aside + "/PG_VERSION"));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
  CHECK(pair.a->value("SHOW port") == std::to_string(pair.a->port()));
  CHECK(pair.a->value("SHOW cluster_name") == "a");
}

TEST_CASE("pgkeel killed in a base backup: the old directory is as it was, and the next rejoin succeeds") {
  ServerPair pair({.settings = {"wal_log_hints = off"}});
  pair.diverge();
  const auto before = content_of(pair.a->data_directory());
  const auto reached = pair.folder.path() + "/reached";
  const auto programs =
      programs_with(pair.folder, "pg_basebackup", "touch \"$2/half\"; touch " + reached + "; exec sleep 600");
  rejoin_and_kill(with_programs(*pair.a, programs), ServerPair::upstream(*pair.b), reached);
  CHECK_FALSE(ServerPair::local(*pair.a).look().rejoin_cut_off);
  CHECK(content_of(pair.a->data_directory()) == before);

  const auto report = pair.rejoin(*pair.a, *pair.b);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(has_all_rows_of_a(report->moved_aside));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
  for (const auto& entry : std::filesystem::directory_iterator(pair.folder.path())) {
    CHECK(entry.path().filename().string().find(".new-") == std::string::npos);
  }
}

TEST_CASE("a rejoin whose upstream hangs is broken off at once, and taken up again later") {
  ServerPair pair;
  pair.diverge();
  const auto upstream = ServerPair::upstream(*pair.b);
  const auto before = content_of(pair.a->data_directory());
  pair.b->freeze_tree();
  std::stop_source rejoin;
  const auto server = ServerPair::local(*pair.a);
  std::jthread breaker([&] {
    // psql waits for the upstream's answer.
    CHECK(wait_until([&] { return somebody_connected_to(pair.b->port()); }));
    rejoin.request_stop();
  });
  const auto begin = monotonic_now();
  const auto broken_off = pair.rejoin(server.until(rejoin.get_token()), upstream);
  CHECK_FALSE(broken_off);
  CHECK(monotonic_now() - begin < 10s);  // and not psql's connect_timeout, nor 30 s
  breaker.join();
  CHECK(server.fence(20s));
  CHECK(content_of(pair.a->data_directory()) == before);

  pair.b->thaw_tree();
  const auto report = pair.rejoin(server, upstream);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("an upstream that hangs in the middle of a base backup is given up, and the next rejoin succeeds") {
  ServerPair pair({.settings = {"wal_log_hints = off"}});
  pair.diverge();
  const auto before = content_of(pair.a->data_directory());
  const auto programs = programs_with(pair.folder, "pg_basebackup",
                                      "touch \"$2/half\"; echo '  1/100 kB (1%), 0/1 tablespace' >&2; exec sleep 600");
  const auto given_up = with_programs(*pair.a, programs)
                            .rejoin(ServerPair::upstream(*pair.b), [](const std::string&) {}, {.silence_limit = 500ms});
  REQUIRE_FALSE(given_up);
  CHECK(given_up.error().message.starts_with(programs + "/pg_basebackup fell silent for 500ms and was killed"));
  CHECK(given_up.error().copied);
  CHECK(content_of(pair.a->data_directory()) == before);

  const auto report = pair.rejoin(*pair.a, *pair.b);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(has_all_rows_of_a(report->moved_aside));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("a rewind that is broken off is not taken for one that failed: nothing is rebuilt") {
  ServerPair pair;
  pair.diverge();
  const auto reached = pair.folder.path() + "/reached";
  const auto programs = programs_with(pair.folder, "pg_rewind", "touch " + reached + "; exec sleep 600");
  std::stop_source rejoin;
  std::jthread breaker([&] {
    CHECK(wait_until([&] { return std::filesystem::exists(reached); }));
    rejoin.request_stop();
  });
  const auto broken_off =
      pair.rejoin(with_programs(*pair.a, programs).until(rejoin.get_token()), ServerPair::upstream(*pair.b));
  breaker.join();
  REQUIRE_FALSE(broken_off);
  CHECK(broken_off.error().message == programs + "/pg_rewind was broken off");
  CHECK(broken_off.error().copied);
  CHECK(pair.said().find("rebuilt") == std::string::npos);
  CHECK(ServerPair::local(*pair.a).look().rejoin_cut_off);
  CHECK(ServerPair::local(*pair.a).fence(20s));

  const auto report = pair.rejoin(*pair.a, *pair.b);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("pgkeel killed between the two renames of a rebuild: the new directory takes its place") {
  ServerPair pair;
  pair.b->kill_tree();
  const auto data = pair.b->data_directory();
  std::filesystem::rename(data, data + ".new-20261123T000000.000Z");
  std::filesystem::create_directory(data + ".pgkeel-rejoin");
  REQUIRE(write_durably(data + ".pgkeel-rejoin/progress.json",
                        R"({"step": "swap", "quarantine": "", "new_directory": ")" + data +
                            R"(.new-20261123T000000.000Z", "moved_aside": ")" + data + R"(.replaced-1"})"));
  CHECK_FALSE(ServerPair::local(*pair.b).start(20s));
  const auto report = pair.rejoin(*pair.b, *pair.a);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(report->moved_aside == data + ".replaced-1");
  CHECK(ServerPair::replicates(*pair.a, *pair.b));
}

TEST_CASE("a standby that was shut down cleanly is left alone, but not where a rejoin was cut off in it") {
  ServerPair pair;
  const auto standby = ServerPair::local(*pair.b);
  REQUIRE(standby.stop(StopMode::kFast, 20s));
  RejoinOrder order;
  order.upstream = ServerPair::upstream(*pair.a);
  order.leave_what_rests = true;
  const auto nobody = [](const std::string&) {};
  const auto refused = standby.make_standby(order, nobody);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("shut down cleanly") != std::string::npos);

  const auto marker = pair.b->data_directory() + ".pgkeel-rejoin";
  std::filesystem::create_directory(marker);
  REQUIRE(write_durably(marker + "/progress.json",
                        R"({"step": "basebackup", "quarantine": "", "new_directory": "", "moved_aside": ""})"));
  const auto report = standby.make_standby(order, nobody);
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "basebackup");
  CHECK(ServerPair::replicates(*pair.a, *pair.b));
}

TEST_CASE("without a place for the quarantine nothing is touched, and with one it succeeds") {
  ServerPair pair;
  pair.diverge();
  const auto before = content_of(pair.a->data_directory());
  {
    // The file system of /proc has no room at all.
    const LocalServer server("a", {"127.0.0.1", pair.a->port()}, pair.a->local(), "/proc/pgkeel-quarantine");
    const auto report = pair.rejoin(server, ServerPair::upstream(*pair.b));
    REQUIRE_FALSE(report);
    CHECK(report.error().message.find("; cannot create the quarantine /proc/pgkeel-quarantine: ") != std::string::npos);
    CHECK_FALSE(report.error().copied);
  }
  CHECK_FALSE(pair.a->is_running());
  CHECK(content_of(pair.a->data_directory()) == before);

  const auto mended = pair.rejoin(*pair.a, *pair.b);
  INFO(pair.said());
  REQUIRE_MESSAGE(mended, mended.error().message);
  CHECK(mended->method == "rewind");
  CHECK(has_all_rows_of_a(mended->quarantine + "/data"));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("a wrong password is told, and nothing is touched; the right one is used") {
  ServerPair pair;
  const auto password_file = pair.folder.path() + "/password";
  pair.a->query(R"(ALTER ROLE pgkeel_repl PASSWORD 'it''s : \ secret')");
  REQUIRE(pair.a->wait_caught_up("b"));
  pair.diverge();
  std::ofstream(pair.b->data_directory() + "/pg_hba.conf", std::ios::trunc)
      << "host replication,all pgkeel_repl 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
  pair.b->query("SELECT pg_reload_conf()");
  auto upstream = ServerPair::upstream(*pair.b);
  upstream.replication.password_file = password_file;
  const auto before = content_of(pair.a->data_directory());

  REQUIRE(wait_until([&] {
    REQUIRE(write_durably(password_file, "wrong\n"));
    const auto report = pair.rejoin(ServerPair::local(*pair.a), upstream);
    return !report && report.error().message.find("password authentication failed") != std::string::npos;
  }));
  CHECK_FALSE(pair.a->is_running());
  CHECK(content_of(pair.a->data_directory()) == before);

  REQUIRE(write_durably(password_file, "it's : \\ secret\n"));
  const auto report = pair.rejoin(ServerPair::local(*pair.a), upstream);
  INFO(pair.said());
  REQUIRE_MESSAGE(report, report.error().message);
  CHECK(report->method == "rewind");
  CHECK(has_all_rows_of_a(report->quarantine + "/data"));
  CHECK(ServerPair::replicates(*pair.b, *pair.a));
}

TEST_CASE("a server of another cluster is no upstream") {
  ServerPair pair;
  const auto stranger = PostgresServer::primary(pair.folder, "x", {.own_system_identifier = true});
  pair.b->stop();
  const auto before = content_of(pair.b->data_directory());
  const auto report = pair.rejoin(*pair.b, *stranger);
  REQUIRE_FALSE(report);
  CHECK(report.error().message.find("another cluster") != std::string::npos);
  CHECK(content_of(pair.b->data_directory()) == before);
}

TEST_CASE("a running server and an unreachable upstream are refused") {
  ServerPair pair;
  const auto upstream = ServerPair::upstream(*pair.a);
  CHECK(pair.rejoin(ServerPair::local(*pair.b), upstream).error().message.find("not stopped") != std::string::npos);
  pair.b->stop();
  pair.a->stop();
  const auto before = content_of(pair.b->data_directory());
  const auto report = pair.rejoin(ServerPair::local(*pair.b), upstream);
  REQUIRE_FALSE(report);
  CHECK(report.error().message.find("Connection refused") != std::string::npos);
  CHECK(content_of(pair.b->data_directory()) == before);
  CHECK_FALSE(pair.b->is_running());
}
