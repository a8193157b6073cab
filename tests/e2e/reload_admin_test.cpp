// The admin endpoint gets TLS, another certificate, and is plain again, while pgkeel runs.
#include <csignal>

#include "proxy/io/durable_file.h"
#include "tests/e2e/cluster_fixture.h"
#include "tests/e2e/config_file.h"
#include "tests/support/sql_connection.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("TLS of the admin endpoint comes, is renewed and goes with a reload, and the verbs follow") {
  Cluster cluster(std::vector<std::string>{});
  const auto& pgkeel = *cluster.pgkeel;
  const ConfigFile file(pgkeel);
  const TestCertificates certificates(cluster.folder.path());
  const std::string files = "cert = \"" + certificates.cert + "\", key = \"" + certificates.key + "\"";
  SqlConnection session(pgkeel.conninfo());
  const auto works = [&](const std::vector<std::string>& verb) { return pgkeel.run_verb(verb).exit_status == 0; };

  file.write(file.with("[admin]", "tls = { " + files + " }"));
  ::kill(pgkeel.pid(), SIGHUP);
  REQUIRE(wait_until([&] { return works({"status"}); }));
  CHECK(pgkeel.metrics() == "");  // in clear
  CHECK(reload(pgkeel)["changes"].empty());
  CHECK(works({"events", "--json"}));

  // By its authority, which answers for the renewed one too.
  file.write(file.with("[admin]", "tls = { " + files + ", ca = \"" + certificates.ca + "\" }"));
  CHECK(reload(pgkeel)["changes"].size() == 1);
  certificates.write_server(certificates.cert, certificates.key, {"127.0.0.1"});
  CHECK(works({"reload"}));
  CHECK(works({"status"}));
  CHECK(pgkeel.run_verb({"events", "--json"}).output.find("configuration reloaded") != std::string::npos);
  // One that is no good is refused, with all the rest.
  REQUIRE(write_durably(certificates.cert, "no certificate\n"));
  CHECK(reload(pgkeel, 1)["problems"][0].get<std::string>().find("admin.tls: the certificate") == 0);

  file.write(file.original());
  ::kill(pgkeel.pid(), SIGHUP);
  REQUIRE(wait_until([&] { return works({"status"}); }));
  CHECK(metric(pgkeel, "pgkeel_config_in_force") == 1);
  CHECK(session.value("SELECT 1") == "1");
}
