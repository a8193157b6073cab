#include "proxy/cli/admin_client.h"

#include <doctest/doctest.h>

#include "proxy/admin/admin_server.h"
#include "proxy/io/durable_file.h"
#include "tests/support/peer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

TEST_CASE("an endpoint that listens but does not answer is told from one that is not there") {
  PeerListener listener;
  Config config;
  config.admin.listen = {"127.0.0.1", listener.port()};
  const std::string where = "127.0.0.1:" + std::to_string(listener.port());
  const auto silent = ask_admin(config, "/api/v1/clusters", 100ms);
  REQUIRE_FALSE(silent);
  CHECK(silent.error().message.starts_with(where + " ([admin] listen) listens but does not answer within 100ms"));
  listener.close();
  const auto absent = ask_admin(config, "/api/v1/clusters");
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message.starts_with("no pgkeel answers at " + where));
}

TEST_CASE("in TLS only whom the configuration names is asked: the certificate itself, or what its authority signed") {
  const TemporaryFolder folder;
  const TestCertificates certificates(folder.path());
  AdminSources sources;
  sources.clusters = [] { return std::vector<ClusterStatus>{}; };
  sources.metrics = [](const auto&) { return std::string("measured"); };
  const auto acceptor = TlsAcceptor::open_to_all({certificates.cert, read_file(certificates.cert).value()},
                                                 {certificates.key, read_file(certificates.key).value()});
  REQUIRE(acceptor);
  sources.tls = *acceptor;
  const auto server = AdminServer::start({"127.0.0.1", 0}, std::move(sources));
  REQUIRE(server);
  Config config;
  config.admin.listen = {"127.0.0.1", (*server)->port()};
  const auto answered = [&](const AdminTlsConfig& tls) {
    config.admin.tls = tls;
    return ask_admin(config, "/metrics").has_value();
  };
  CHECK(answered({certificates.cert, certificates.key, ""}));
  CHECK(answered({certificates.cert, certificates.key, certificates.ca}));
  CHECK_FALSE(answered({certificates.strange_cert, certificates.strange_key, ""}));
  CHECK_FALSE(answered({certificates.cert, certificates.key, certificates.strange_ca}));
  CHECK_FALSE(answered({}));
  // Another certificate of the same authority is another pgkeel's, where nothing but `cert` is named.
  const std::string cert = folder.path() + "/other.crt";
  const std::string key = folder.path() + "/other.key";
  certificates.write_server(cert, key, {"127.0.0.1"});
  CHECK_FALSE(answered({cert, key, ""}));
  // A wildcard is reached on loopback.
  config.admin.listen.host = "0.0.0.0";
  CHECK(answered({certificates.cert, certificates.key, ""}));
  CHECK(answered({certificates.cert, certificates.key, certificates.ca}));
  const auto told = ask_admin(config, "/nowhere");
  REQUIRE_FALSE(told);
  CHECK(told.error().message.find("pgkeel answers 404") == 0);
}
