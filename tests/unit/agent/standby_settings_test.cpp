#include "replication/agent/standby_settings.h"

#include <doctest/doctest.h>

#include "replication/agent/rewind_call.h"

using namespace pgkeel;

TEST_CASE("pg_rewind is told where postgresql.conf is as far as its version can be told") {
  using Words = std::vector<std::string>;
  const Words plain = {"--target-pgdata", "/data", "--source-server", "host=b", "--progress"};
  for (const int version : {13, 14, 15, 17}) {
    const auto call = rewind_call(version, "/data", "host=b", std::nullopt);
    CHECK(call.arguments == plain);
    CHECK(call.recovery.empty());
  }
  for (const int version : {13, 14}) {  // pg_rewind has no such option
    const auto call = rewind_call(version, "/data", "host=b", "/etc/a.conf");
    CHECK(call.arguments == plain);
    CHECK(call.recovery == Words{"--single", "-F", "-D", "/data", "-c", "config_file=/etc/a.conf", "template1"});
  }
  auto with_file = plain;
  with_file.insert(with_file.end(), {"--config-file", "/etc/a.conf"});
  CHECK(rewind_call(15, "/data", "host=b", "/etc/a.conf").arguments == with_file);
  CHECK(rewind_call(17, "/data", "host=b", "/etc/a.conf").recovery.empty());
}

TEST_CASE("a setting's value is quoted for postgresql.conf") {
  CHECK(quote_setting(R"(host='a b' password='x\'y\\')") == R"('host=''a b'' password=''x\\''y\\\\''')");
}

TEST_CASE("a node's own settings stay, its upstream and its standbys go") {
  const auto text = standby_auto_conf(
      "# Do not edit\nwork_mem = '8MB'\nprimary_conninfo = 'host=old'\n  Synchronous_Standby_Names='b'\n"
      "recovery_target_lsn = '0/1'\nrecovery_target_timeline = 'current'\nprimary_slot_name 'x'\nport = 5433",
      {"host='b'", "pgkeel_a", std::nullopt});
  CHECK(
      text ==
      "# Do not edit\nwork_mem = '8MB'\nport = 5433\nprimary_conninfo = 'host=''b'''\nprimary_slot_name = 'pgkeel_a'\n"
      "recovery_target_timeline = 'latest'\n");
}

TEST_CASE("a node without a configuration of its own gets its port") {
  const auto text = standby_auto_conf("port = 1\n", {"", "pgkeel_a", std::uint16_t{5433}});
  CHECK(text.starts_with("port = 5433\n"));
}

TEST_CASE("a password file's fields are escaped") {
  CHECK(password_file_text("us:er", R"(p\a:ss)") == "*:*:*:us\\:er:p\\\\a\\:ss\n");
}

TEST_CASE("a password is the first line of its file") {
  CHECK(first_line("secret\r\nmore") == "secret");
  CHECK(first_line("secret") == "secret");
  CHECK(first_line("").empty());
}
