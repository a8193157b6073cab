#include "replication/readiness/hba.h"

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

HbaLine line(const std::string& type, const std::string& database, const std::string& user, const std::string& address,
             const std::string& netmask, const std::string& method = "scram-sha-256") {
  return {.line_number = 1,
          .type = type,
          .databases = {database},
          .users = {user},
          .address = address,
          .netmask = netmask,
          .method = method,
          .error = ""};
}

HbaVerdict verdict(const std::vector<HbaLine>& lines, const std::string& from, bool replication = true) {
  return hba_verdict(
      lines,
      {.user = "repl", .database = "postgres", .replication = replication, .from = parse_ip_address(from).value()});
}

}  // namespace

TEST_CASE("a line admits those whom its address, user and database name, and nobody else") {
  const std::vector<HbaLine> lines = {line("host", "replication", "repl", "10.0.0.0", "255.255.255.0")};
  CHECK(verdict(lines, "10.0.0.7") == HbaVerdict::kAdmitted);
  CHECK(verdict(lines, "10.0.1.7") == HbaVerdict::kRefused);
  CHECK(verdict(lines, "::1") == HbaVerdict::kRefused);
  CHECK(verdict(lines, "10.0.0.7", false) == HbaVerdict::kRefused);
  CHECK(verdict({}, "10.0.0.7") == HbaVerdict::kRefused);
  CHECK(verdict({line("local", "replication", "repl", "", "")}, "10.0.0.7") == HbaVerdict::kRefused);
  CHECK(verdict({line("host", "replication", "other", "10.0.0.0", "255.0.0.0")}, "10.0.0.7") == HbaVerdict::kRefused);
}

TEST_CASE("`all` is every database, but not replication") {
  CHECK(verdict({line("host", "all", "all", "all", "")}, "10.0.0.7") == HbaVerdict::kRefused);
  CHECK(verdict({line("host", "all", "all", "all", "")}, "10.0.0.7", false) == HbaVerdict::kAdmitted);
  CHECK(verdict({line("host", "replication", "all", "all", "")}, "fe80::1") == HbaVerdict::kAdmitted);
}

TEST_CASE("IPv6 networks, of any length") {
  const std::vector<HbaLine> lines = {line("host", "replication", "all", "fd00:1:2::", "ffff:ffff:ffff::")};
  CHECK(verdict(lines, "fd00:1:2::9") == HbaVerdict::kAdmitted);
  CHECK(verdict(lines, "fd00:1:3::9") == HbaVerdict::kRefused);
  CHECK(verdict({line("host", "replication", "all", "0.0.0.0", "0.0.0.0")}, "fd00::1") == HbaVerdict::kRefused);
}

TEST_CASE("the first line that holds decides") {
  const auto reject = line("host", "replication", "repl", "10.0.0.0", "255.0.0.0", "reject");
  const auto admit = line("host", "replication", "all", "all", "");
  CHECK(verdict({reject, admit}, "10.0.0.7") == HbaVerdict::kRefused);
  CHECK(verdict({admit, reject}, "10.0.0.7") == HbaVerdict::kAdmitted);
  // Turned away with TLS, it comes again without.
  CHECK(verdict({line("hostssl", "replication", "repl", "10.0.0.0", "255.0.0.0", "reject"), admit}, "10.0.0.7") ==
        HbaVerdict::kAdmitted);
}

TEST_CASE("what depends on names, groups or patterns is not known") {
  const auto admit = line("host", "replication", "repl", "all", "");
  CHECK(verdict({line("host", "replication", "+standbys", "all", "")}, "10.0.0.7") == HbaVerdict::kNotKnown);
  CHECK(verdict({line("host", "replication", "repl", "db.example", "")}, "10.0.0.7") == HbaVerdict::kNotKnown);
  CHECK(verdict({line("host", "replication", "repl", "samenet", ""), admit}, "10.0.0.7") == HbaVerdict::kNotKnown);
  CHECK(verdict({line("host", "/^post", "repl", "all", "")}, "10.0.0.7", false) == HbaVerdict::kNotKnown);
}

TEST_CASE("lines that trust the address of the proxy are found, those for replication alone are not") {
  const std::vector<HbaLine> lines = {
      line("host", "all", "all", "127.0.0.1", "255.255.255.255", "trust"),
      line("host", "all", "all", "10.0.0.0", "255.255.255.0", "trust"),
      line("host", "replication", "all", "10.0.0.0", "255.255.255.0", "trust"),
      line("local", "all", "all", "", "", "trust"),
      line("host", "all", "all", "10.0.0.0", "255.0.0.0"),
  };
  const auto over_network = trusting_lines(lines, "10.0.0.5");
  REQUIRE(over_network.size() == 1);
  CHECK(over_network.front() == &lines[1]);
  const auto over_socket = trusting_lines(lines, "");
  REQUIRE(over_socket.size() == 1);
  CHECK(over_socket.front() == &lines[3]);
}
