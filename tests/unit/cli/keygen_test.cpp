#include "proxy/cli/keygen.h"

#include <filesystem>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "proxy/cli/check.h"
#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;

TEST_CASE(
    "keygen makes an authority, a proxy's and each agent's certificate, keys for nobody else, and overwrites none") {
  const test::TemporaryFolder folder;
  const std::string out = folder.path() + "/keys";
  REQUIRE(run_keygen({out, {"db1.example,10.0.0.1"}, 30}) == 0);
  const auto file = [&](const std::string& name) { return out + "/" + name; };
  for (const char* key : {"ca.key", "proxy.key", "agent-db1.example.key"}) {
    struct stat status {};
    REQUIRE(stat(file(key).c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0600U);
  }
  CHECK(check_certificate_files(file("ca.crt"), file("proxy.crt"), file("proxy.key"), CertificateRole::kProxy));
  CHECK(check_certificate_files(file("ca.crt"), file("agent-db1.example.crt"), file("agent-db1.example.key"),
                                CertificateRole::kAgent));

  const auto authority_before = read_file(file("ca.crt")).value();
  const auto proxy_before = read_file(file("proxy.key")).value();
  REQUIRE(run_keygen({out, {"db1.example", "fd00::2"}, 30}) == 0);
  CHECK(read_file(file("ca.crt")).value() == authority_before);
  CHECK(read_file(file("proxy.key")).value() == proxy_before);
  CHECK(check_certificate_files(file("ca.crt"), file("agent-fd00::2.crt"), file("agent-fd00::2.key"),
                                CertificateRole::kAgent));

  REQUIRE(run_keygen({out, {}, 30, {"lb1.example,10.0.0.21"}}) == 0);
  const auto peer = read_tls_identity(file("ca.crt"), file("proxy-lb1.example.crt"), file("proxy-lb1.example.key"));
  REQUIRE(peer);
  CHECK(check_peer_identity(*peer));
  const auto only_client = read_tls_identity(file("ca.crt"), file("proxy.crt"), file("proxy.key"));
  REQUIRE(only_client);
  CHECK_FALSE(check_peer_identity(*only_client));
  CHECK(run_keygen({out, {}, 30, {"db 4"}}) == 2);

  REQUIRE(run_keygen({out, {}, 30, {}, {"console.example,10.0.0.21"}}) == 0);
  const std::string admin = file("admin-console.example");
  CHECK(check_certificate_files(file("ca.crt"), admin + ".crt", admin + ".key", CertificateRole::kAdmin));
  for (const auto role : {CertificateRole::kProxy, CertificateRole::kAgent})
    CHECK_FALSE(check_certificate_files(file("ca.crt"), admin + ".crt", admin + ".key", role));
  CHECK(run_keygen({out, {}, 30, {}, {"db 4"}}) == 2);

  std::filesystem::remove(file("ca.key"));
  CHECK(run_keygen({out, {"db3.example"}, 30}) == 1);
  CHECK_FALSE(std::filesystem::exists(file("agent-db3.example.key")));
  CHECK(run_keygen({out, {"db 4"}, 30}) == 2);
  CHECK(run_keygen({out, {"db4,,x"}, 30}) == 2);
}

TEST_CASE("check tells of certificates that do not hold, that end soon, and of an open key") {
  const test::TemporaryFolder folder;
  REQUIRE(run_keygen({folder.path(), {"db1"}, 3650}) == 0);
  Config config;
  ClusterConfig cluster;
  cluster.name = "orders";
  NodeConfig node;
  const auto file = [&](const char* name) { return folder.path() + "/" + name; };
  node.agent = AgentAccessConfig{"https://db1:7433", {file("ca.crt"), file("proxy.crt"), file("proxy.key")}};
  cluster.nodes.push_back(node);
  config.clusters.push_back(cluster);
  const auto said = [&](Duration from_now, bool& usable) {
    return certificate_problems("f", look_at_certificates(config), wall_now() + from_now, usable);
  };
  bool usable = true;
  CHECK(said({}, usable).empty());
  CHECK(said(std::chrono::hours(24 * 3640), usable)
            .find("f: warning: cluster.orders.node[0].agent: the certificates end") == 0);
  std::filesystem::permissions(file("proxy.key"), std::filesystem::perms(0644));
  CHECK(said({}, usable).find("chmod 600") != std::string::npos);
  CHECK(usable);
  config.clusters[0].nodes[0].agent->tls = {file("ca.crt"), file("agent-db1.crt"), file("agent-db1.key")};
  CHECK(said({}, usable).find("does not hold against") != std::string::npos);
  CHECK_FALSE(usable);
}
