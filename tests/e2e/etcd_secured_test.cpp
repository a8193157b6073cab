// A pgkeel, one of several, and an etcd with TLS, a user and a password: what etcd forgets, what is renewed on disk,
// and what is wrong.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/durable_file.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/support/agent_process.h"
#include "tests/support/etcd_server.h"
#include "tests/support/test_certificates.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// Its password goes with what it is shown.
struct Access {
  std::string user = "pgkeel";  // empty: none, and no password
  std::string password = "secret";
  std::string ca = {};                           // empty: the right one
  std::string cert = {}, key = {};               // that etcd sees; empty: none
  std::vector<std::string> more_endpoints = {};  // before the right one
};

enum class Asks { kPasswords, kCertificates, kBoth };

struct Secured {
  explicit Secured(Asks asks = Asks::kPasswords)
      : etcd(asks == Asks::kPasswords ? EtcdOptions{.cert = tls.cert, .key = tls.key}
                                      : EtcdOptions{.cert = tls.both_cert, .key = tls.both_key, .client_ca = tls.ca}) {
    server = PostgresServer::primary(folder, "a");
    if (asks != Asks::kCertificates) add_users();
  }

  void add_users() const {
    const auto control = [this](const std::vector<std::string>& arguments) { etcd.control(tls.ca, arguments); };
    control({"role", "add", "root"});
    control({"user", "add", "root:of root"});
    control({"user", "grant-role", "root", "root"});
    control({"role", "add", "pgkeel"});
    control({"role", "grant-permission", "pgkeel", "readwrite", "--prefix=true", "/pgkeel/"});
    control({"user", "add", "pgkeel:secret"});
    control({"user", "grant-role", "pgkeel", "pgkeel"});
    control({"user", "add", "stranger:secret"});
    control({"auth", "enable"});
  }

  // A pgkeel in a folder of its own.
  std::unique_ptr<PgkeelProcess> pgkeel(const Access& access) {
    folders.push_back(std::make_unique<TemporaryFolder>());
    password_file = folders.back()->path() + "/etcd.password";
    write_password(access.password);
    ca_file = folders.back()->path() + "/etcd-ca.crt";
    std::filesystem::copy_file(access.ca.empty() ? tls.ca : access.ca, ca_file);
    std::string endpoints;
    for (const auto& endpoint : access.more_endpoints) endpoints += "\"" + endpoint + "\", ";
    const std::string own = access.cert.empty() ? "" : ", cert = \"" + access.cert + "\", key = \"" + access.key + "\"";
    const std::string peer = "127.0.0.1:" + std::to_string(free_port());
    PgkeelOptions options;
    options.coordination_lines = {"etcd = [" + endpoints + "\"" + etcd.url() + "\"]", "name = \"one\"",
                                  "lease = \"20s\"",  // outlasts an etcd that starts anew, also on a slow machine
                                  "tls = { ca = \"" + ca_file + "\"" + own + " }",
                                  peer_line(peer, peer, certificates.peer())};
    if (!access.user.empty()) {
      options.coordination_lines.push_back("user = \"" + access.user + "\"");
      options.coordination_lines.push_back("password_file = \"" + password_file + "\"");
    }
    return std::make_unique<PgkeelProcess>(*folders.back(), std::vector<PostgresServer*>{server.get()}, options);
  }
  void write_password(const std::string& password) const { std::ofstream(password_file) << password << "\n"; }

  TemporaryFolder folder;
  TestCertificates tls{folder.path()};
  Certificates certificates{folder};
  EtcdServer etcd;
  std::unique_ptr<PostgresServer> server;
  std::vector<std::unique_ptr<TemporaryFolder>> folders;
  std::string password_file;  // of the newest pgkeel
  std::string ca_file;
};

std::string etcd_problem_of(const PgkeelProcess& pgkeel) {
  const auto status = pgkeel.status();
  if (!status.is_object()) return "no status";
  const auto& problem = status["coordination"]["etcd_problem"];
  return problem.is_string() ? problem.get<std::string>() : "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Wrong {
  Access access;
  std::string words;  // of etcd, or of TLS
  std::string check;  // what check --live says of it
};

void says_what_is_wrong(Secured& secured, const Wrong& wrong) {
  CAPTURE(wrong.words);
  const auto pgkeel = secured.pgkeel(wrong.access);
  // An etcd that takes no such certificate says so and hangs up: whoever is still sending may hear the second alone.
  std::string said;
  CHECK_MESSAGE(wait_until([&] {
                  const auto check = pgkeel->run_verb({"check", "--live"});
                  CHECK(check.exit_status == 1);
                  said = check.output + check.error_output;
                  const auto at = said.find("etcd " + secured.etcd.url() + " " + wrong.check);
                  return at != std::string::npos && has(said.substr(at, said.find('\n', at) - at), wrong.words);
                }),
                said);
  pgkeel->start();
  CHECK_MESSAGE(wait_until([&] { return has(etcd_problem_of(*pgkeel), wrong.words); }), pgkeel->describe());
  CHECK(wait_until([&] { return has(pgkeel->run_verb({"status"}).output, wrong.words); }));
  CHECK(wait_until([&] { return has(pgkeel->log_text(), "warning pgkeel: " + secured.etcd.url()); }));
  CHECK_FALSE(pgkeel->status()["route"].is_string());
  pgkeel->terminate();
}

}  // namespace

TEST_CASE("an etcd that forgets its tokens, has a new certificate, or refuses a password for a while costs no lease") {
  Secured secured;
  // Nobody is at the first one.
  const auto pgkeel = secured.pgkeel({.more_endpoints = {"https://127.0.0.1:" + std::to_string(free_port())}});
  pgkeel->start();
  REQUIRE_MESSAGE(pgkeel->wait_normal("a"), pgkeel->describe());
  Writers writers(pgkeel->conninfo(), 2);
  REQUIRE(writers.wait_for_more(20));
  const auto term = pgkeel->status()["coordination"]["term"];
  const auto has_etcd = [&] { return etcd_problem_of(*pgkeel).empty(); };
  const auto restart_etcd = [&] {
    secured.etcd.kill();
    REQUIRE_MESSAGE(wait_until([&] { return !has_etcd(); }), pgkeel->describe());
    secured.etcd.start();
  };
  REQUIRE_MESSAGE(wait_until(has_etcd), pgkeel->describe());

  restart_etcd();  // and the token is unknown
  REQUIRE_MESSAGE(wait_until(has_etcd), pgkeel->describe());
  CHECK(pgkeel->status()["coordination"]["term"] == term);

  // Both authorities are believed before the new one signs etcd's certificate.
  const std::string both = read_file(secured.tls.ca).value() + read_file(secured.tls.strange_ca).value();
  REQUIRE(write_durably(secured.ca_file, both));
  REQUIRE_MESSAGE(wait_until([&] { return has(pgkeel->log_text(), "the TLS files towards etcd were read again"); }),
                  pgkeel->describe());
  std::filesystem::copy_file(secured.tls.strange_cert, secured.tls.cert,
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(secured.tls.strange_key, secured.tls.key,
                             std::filesystem::copy_options::overwrite_existing);
  secured.write_password("wrong");
  restart_etcd();
  REQUIRE_MESSAGE(wait_until([&] { return has(etcd_problem_of(*pgkeel), "authentication failed"); }),
                  pgkeel->describe());
  secured.write_password("secret");
  REQUIRE_MESSAGE(wait_until(has_etcd), pgkeel->describe());
  REQUIRE_MESSAGE(pgkeel->wait_normal("a"), pgkeel->describe());
  CHECK(pgkeel->status()["coordination"]["term"] == term);
  CHECK_FALSE(has(pgkeel->log_text(), "secret"));
  writers.stop();
  CHECK(writers.statement_errors().empty());
  CHECK(writers.connect_errors().empty());
}

TEST_CASE("what is wrong between pgkeel and etcd is said by check, status and log") {
  Secured secured;
  const std::vector<Wrong> all = {
      {{.password = "wrong"}, "authentication failed, invalid user ID or password", "cannot be asked"},
      {{.ca = secured.tls.strange_ca}, "certificate", "cannot be asked"},
      {{.user = "stranger"}, "permission denied", "does not let pgkeel read /pgkeel/"}};
  for (const auto& wrong : all) says_what_is_wrong(secured, wrong);
}

TEST_CASE(
    "an etcd that asks for certificates sees pgkeel's; without one, or with a stranger's, what is wrong is said") {
  Secured secured(Asks::kCertificates);
  const auto pgkeel = secured.pgkeel({.user = "", .cert = secured.tls.client_cert, .key = secured.tls.client_key});
  pgkeel->start();
  REQUIRE_MESSAGE(pgkeel->wait_normal("a"), pgkeel->describe());
  CHECK(etcd_problem_of(*pgkeel).empty());
  const auto check = pgkeel->run_verb({"check", "--live"});
  CHECK_MESSAGE(!has(check.output + check.error_output, secured.etcd.url() + " cannot be asked"), check.output);
  pgkeel->terminate();
  const std::vector<Access> strangers = {
      {.user = ""}, {.user = "", .cert = secured.tls.strange_client_cert, .key = secured.tls.strange_client_key}};
  for (const auto& stranger : strangers) says_what_is_wrong(secured, {stranger, "certificate", "cannot be asked"});
}

// The certificates of these tests have a CommonName.
TEST_CASE("an etcd that asks for certificates and passwords takes no certificate with a CommonName: that is said") {
  Secured secured(Asks::kBoth);
  says_what_is_wrong(secured, {{.cert = secured.tls.client_cert, .key = secured.tls.client_key},
                               "CommonName of client sending a request against gateway",
                               "cannot be asked"});
}
