#include "health/probe_query.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

const char* const kLeast = R"({"system_identifier":"7","version":"150020","in_recovery":false,"timeline":1})";

std::string with(const std::string& more) {
  std::string text = kLeast;
  text.pop_back();
  return text + "," + more + "}";
}

}  // namespace

TEST_CASE("an answer is read back into facts") {
  const auto answer = parse_probe_answer(
      R"json({"system_identifier":"7300000000000000001","version":"150020","in_recovery":true,"may_read_files":true,
      "may_list_wal":false,"timeline":3,"checkpoint_timeline":2,"checkpoint_redo":"0/4",
      "timeline_history":"1\t0/3000000\tno recovery target specified\n\n2\t1/4000000\tbefore 2000-01-01\n",
      "replay_paused":true,"apply_delay_ms":1500.0,"recovery_target_set":true,
      "limits":{"max_connections":120,"max_wal_senders":-1,"work_mem":4},"restore_command_set":true,"synchronous_standby_names":"ANY 1 (b)",
      "primary_conninfo":"host=a password='s e''","primary_slot_name":"pgkeel_b",
      "receiver":{"status":"streaming","host":"10.0.0.1","port":5432,"silence_ms":12.345},"uptime_ms":61000,
      "slots":[{"name":"pgkeel_c","active_pid":77,"restart":"0/5","wal_status":"reserved"},
               {"name":"idle","active_pid":null,"restart":null,"wal_status":null}],
      "logical_slots":[{"slot_name":"changes","plugin":"pgoutput","database":"app","confirmed_flush_lsn":"0/6",
                        "wal_status":"reserved","failover":true,"synced":true},
                       {"slot_name":"old","plugin":"test_decoding","database":"app","wal_status":"lost"}],
      "prepared_transactions":3,
      "senders":[{"name":"c","pid":78,"state":"streaming","sync_state":"async","sent":"0/9","written":"0/8",
                  "flushed":"0/7","replayed":"0/6","write_lag_ms":1.5,"flush_lag_ms":null}],
      "replays_own_wal":true,"replayed":"1/4000010","position":"1/4000020"})json");
  REQUIRE(answer.has_value());
  CHECK(answer->rights.read_files);
  CHECK_FALSE(answer->rights.list_wal);
  const auto& facts = answer->facts;
  CHECK(facts.system_identifier == "7300000000000000001");
  CHECK(facts.server_version_number == 150020);
  CHECK(facts.in_recovery);
  CHECK(facts.timeline == 3);
  CHECK(facts.checkpoint_timeline == 2);
  CHECK(facts.checkpoint_redo == Lsn{4});
  CHECK(facts.timeline_history_known);
  CHECK(facts.timeline_history == std::vector<TimelineFork>{{1, Lsn{0x3000000}}, {2, Lsn{0x104000000}}});
  CHECK(facts.replay_paused);
  CHECK(facts.recovery_min_apply_delay == 1500ms);
  CHECK(facts.recovery_target_set);
  CHECK(facts.limits == std::map<std::string, std::uint32_t>{{"max_connections", 120}});
  CHECK(facts.restore_command_set);
  CHECK(facts.synchronous_standby_names == "ANY 1 (b)");
  CHECK(facts.primary_conninfo.empty());  // its quotes do not close: nobody knows what it would give away
  CHECK(facts.primary_slot_name == "pgkeel_b");
  CHECK(facts.wal_receiver_streaming);
  CHECK(facts.wal_receiver_source == HostPort{"10.0.0.1", 5432});
  CHECK(facts.wal_receiver_silence == 12ms);
  CHECK(facts.uptime == 61s);
  REQUIRE(facts.slots.size() == 2);
  CHECK(facts.slots[0].active_pid == 77);
  CHECK(facts.slots[0].restart_lsn == Lsn{5});
  CHECK_FALSE(facts.slots[1].active_pid.has_value());
  CHECK(facts.slots[1].wal_status.empty());
  REQUIRE(facts.logical_slots.size() == 2);
  CHECK(facts.logical_slots[0].name == "changes");
  CHECK(facts.logical_slots[0].database == "app");
  CHECK(facts.logical_slots[0].plugin == "pgoutput");
  CHECK(facts.logical_slots[0].confirmed_flush == Lsn{6});
  CHECK(facts.logical_slots[0].synced);
  CHECK_FALSE(facts.logical_slots[0].lost);
  CHECK(facts.logical_slots[1].lost);
  CHECK_FALSE(facts.logical_slots[1].synced);
  CHECK(facts.prepared_transactions == 3);
  REQUIRE(facts.wal_senders.size() == 1);
  CHECK(facts.wal_senders[0].flushed == Lsn{7});
  CHECK(facts.wal_senders[0].write_lag == 1ms);
  CHECK_FALSE(facts.wal_senders[0].flush_lag);
  CHECK_FALSE(facts.wal_senders[0].replay_lag);
  CHECK(facts.replays_own_wal);
  CHECK(facts.replayed == Lsn{0x104000010});
  CHECK(facts.wal_position == Lsn{0x104000020});
}

TEST_CASE("what a role may not see is absent") {
  const auto answer = parse_probe_answer(kLeast);
  REQUIRE(answer.has_value());
  CHECK(answer->rights == ProbeRights{});
  CHECK(answer->facts.timeline_history_known);  // the first timeline has no history
  CHECK_FALSE(answer->facts.wal_receiver_silence.has_value());
  CHECK_FALSE(answer->facts.wal_position.valid());
  CHECK_FALSE(answer->facts.replays_own_wal);
  CHECK_FALSE(parse_probe_answer(with(R"("timeline_history":null,"timeline":2)"))->facts.timeline_history_known);
}

TEST_CASE("an answer without the main facts is an error") {
  for (const char* text : {"", "null", "[]", "1", "\"x\"", "{}", "{", "[[[[", "\xff\xfe",
                           R"({"system_identifier":7,"version":"150020","in_recovery":false,"timeline":1})",
                           R"({"system_identifier":"7","version":"x","in_recovery":false,"timeline":1})",
                           R"({"system_identifier":"7","version":"150020","in_recovery":"f","timeline":1})",
                           R"({"system_identifier":"7","version":"150020","in_recovery":false,"timeline":0})"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_probe_answer(text).has_value());
  }
}

TEST_CASE("a value of the wrong type or out of range is left out, and nothing throws") {
  for (const char* value : {"null", "true", "-1", "1e300", "1e-300", "\"x\"", "[]", "{}", "[1,[2],{\"name\":3}]"}) {
    for (const char* key :
         {"checkpoint_timeline", "timeline_history", "replay_paused", "apply_delay_ms", "recovery_target_set", "limits",
          "restore_command_set", "primary_conninfo", "receiver", "uptime_ms", "slots", "logical_slots",
          "prepared_transactions", "senders", "replayed", "position", "may_read_files"}) {
      CAPTURE(key);
      CAPTURE(value);
      CHECK(parse_probe_answer(with("\"" + std::string(key) + "\":" + value)).has_value());
    }
  }
  const auto odd = parse_probe_answer(
      with(R"("receiver":{"status":1,"host":[],"port":70000,"silence_ms":-5},"slots":[{"active_pid":1e99}])"));
  REQUIRE(odd.has_value());
  CHECK(odd->facts.wal_receiver_source.port == 0);
  CHECK(odd->facts.wal_receiver_silence == Duration{});
  CHECK_FALSE(odd->facts.slots[0].active_pid.has_value());
}

TEST_CASE("passwords in a conninfo are blanked out, and nothing else is touched") {
  CHECK(without_passwords("host=a  port=1") == "host=a  port=1");
  CHECK(without_passwords("").empty());
  for (const char* conninfo :
       {"host=a password=secret user=u", "host=a password = 'sec\\'ret secret' user=u",
        "user=u  sslpassword='secret' password=secret host=a", "postgresql://u:secret@a/?sslpassword=secret"}) {
    CAPTURE(conninfo);
    const auto blank = without_passwords(conninfo);
    CHECK(blank.find("secret") == std::string::npos);
    CHECK(blank.find("host='a'") != std::string::npos);
    CHECK(blank.find("user='u'") != std::string::npos);
    CHECK(blank.find("password='***'") != std::string::npos);
  }
  CHECK(without_passwords("nonsense secret").empty());
}

TEST_CASE("the text names no function that a role may not call") {
  CHECK(probe_query_text({}).find("pg_read_file(") == probe_query_text({}).find("pg_read_file(text"));
  CHECK(probe_query_text({}).find("FROM pg_ls_waldir") == std::string::npos);
  CHECK(probe_query_text({}).find('$') == std::string::npos);
  CHECK(probe_query_text({true, true}).find("pg_read_file('pg_wal/'") != std::string::npos);
  CHECK(probe_query_text({true, true}).find("FROM pg_ls_waldir") != std::string::npos);
}
