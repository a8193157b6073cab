// The files towards etcd, replaced while they are in use.
#include "replication/coordination/etcd_secrets.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/loop.h"
#include "replication/coordination/etcd_client.h"
#include "replication/coordination/own_settings.h"
#include "tests/support/scripted_http.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Setup {
  Setup() {
    config.tls = {certificates.ca, certificates.cert, certificates.key};
    config.password_file = folder.path() + "/password";
    config.user = "pgkeel";
    write_password("first");
  }
  void write_password(const std::string& password) const { std::ofstream(config.password_file) << password << "\n"; }
  EtcdSecrets read() {
    auto secrets = EtcdSecrets::read(config);
    REQUIRE_MESSAGE(secrets, secrets.error().message);
    secrets->tell([this](EtcdSecrets::Severity severity, const std::string& text) {
      told.push_back((severity == EtcdSecrets::Severity::kWarning ? "warning: " : "info: ") + text);
    });
    return std::move(*secrets);
  }

  TemporaryFolder folder;
  TestCertificates certificates{folder.path()};
  CoordinationConfig config;
  std::vector<std::string> told;
};

}  // namespace

TEST_CASE("a new certificate is used when it has been the same in two looks, and what does not fit together is not") {
  Setup setup;
  EtcdSecrets secrets = setup.read();
  const std::string before = read_file(setup.certificates.cert).value();
  CHECK(secrets.tls().certificate_pem == before);
  for (int times = 0; times < 3; ++times) secrets.look(wall_now());
  CHECK(setup.told.empty());

  const std::string aside = setup.folder.path() + "/aside";
  setup.certificates.write_server(setup.config.tls.cert, aside, {"localhost"});  // its key is not there yet
  for (int times = 0; times < 3; ++times) secrets.look(wall_now());
  REQUIRE(setup.told.size() == 1);
  CHECK(setup.told[0].starts_with("warning: the new TLS files towards etcd cannot be used, and the old ones stay"));
  CHECK(secrets.tls().certificate_pem == before);

  std::filesystem::rename(aside, setup.config.tls.key);
  secrets.look(wall_now());
  CHECK(secrets.tls().certificate_pem == before);
  secrets.look(wall_now());
  CHECK(secrets.tls().certificate_pem == read_file(setup.config.tls.cert).value());
  CHECK(secrets.tls().key_pem == read_file(setup.config.tls.key).value());
  REQUIRE(setup.told.size() == 2);
  CHECK(setup.told[1].starts_with("info: the TLS files towards etcd were read again; the certificate is valid until "));

  std::filesystem::remove(setup.config.tls.ca);
  for (int times = 0; times < 3; ++times) secrets.look(wall_now());
  CHECK(setup.told.size() == 3);
  CHECK_FALSE(secrets.tls().authority_pem.empty());
}

TEST_CASE("a certificate towards etcd that ends is told of once") {
  Setup setup;
  setup.certificates.write_server(setup.config.tls.cert, setup.config.tls.key, {"localhost"}, 15 * 24h);
  EtcdSecrets secrets = setup.read();
  secrets.look(wall_now());
  CHECK(setup.told.empty());
  for (int times = 0; times < 3; ++times) secrets.look(wall_now() + 2 * 24h);
  REQUIRE(setup.told.size() == 1);
  CHECK(setup.told[0].find(" ends at ") != std::string::npos);
}

TEST_CASE("a password is read at each login, and one that cannot be read stays as it was") {
  Setup setup;
  Loop loop;
  ScriptedHttp etcd(loop);
  setup.config.tls = {};
  setup.config.etcd = {etcd.url()};
  const auto settings = read_etcd_settings(setup.config);
  REQUIRE_MESSAGE(settings, settings.error().message);
  EtcdClient client(loop, *settings);
  // Its login is refused, so that the next request begins with another.
  const auto login = [&] {
    std::optional<Result<std::string, EtcdFailure>> answer;
    client.ask(read_prefix("/"), 20s, [&](Result<std::string, EtcdFailure> body) { answer = std::move(body); });
    auto request = etcd.next();
    request.answer("400 Bad Request", R"({"error":"etcdserver: authentication failed","code":3})");
    REQUIRE(run_until(loop, [&] { return answer.has_value(); }));
    return request.text;
  };
  CHECK(login().find(R"("password":"first")") != std::string::npos);
  setup.write_password("second");
  CHECK(login().find(R"("password":"second")") != std::string::npos);
  std::filesystem::remove(setup.config.password_file);
  CHECK(login().find(R"("password":"second")") != std::string::npos);
}
