#include "replication/agent/standby_settings.h"

#include <doctest/doctest.h>

using namespace pgkeel;

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
