// What `pgkeel check` says about several pgkeels.
#include "proxy/cli/check_coordination.h"

#include <chrono>

#include <doctest/doctest.h>

#include "proxy/base/version.h"
#include "proxy/cli/check.h"
#include "proxy/cli/keygen.h"
#include "proxy/io/clock.h"
#include "replication/coordination/etcd_requests.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

CoordinationFacts::Etcd healthy(const std::string& url) {
  return {.url = url,
          .error = "",
          .version = "3.4.23",
          .has_leader = true,
          .alarms = {},
          .answered_in = 2ms,
          .cannot_read = ""};
}

CoordinationFacts three() {
  CoordinationFacts facts;
  facts.etcds = {healthy("http://a:2379"), healthy("http://b:2379"), healthy("http://c:2379")};
  facts.peers = {{.name = "two",
                  .address = "10.0.0.22:7434",
                  .error = "",
                  .version = std::string(pgkeel_version()),
                  .differs_in = {}}};
  return facts;
}

// "error: problem" of the only finding.
std::string only_finding(const CoordinationFacts& facts) {
  const auto findings = judge_coordination(CoordinationConfig(), facts);
  REQUIRE(findings.size() == 1);
  CHECK_FALSE(findings.front().remedy.empty());
  return std::string(severity_name(findings.front().severity)) + ": " + findings.front().problem;
}

}  // namespace

TEST_CASE("three etcds and a pgkeel that answer: nothing is found") {
  CHECK(judge_coordination(CoordinationConfig(), three()).empty());
}

TEST_CASE("an etcd that does not answer is a warning, and an error where no majority is left") {
  CoordinationFacts facts = three();
  facts.etcds[1].error = "connection refused";
  CHECK(only_finding(facts) == "warning: etcd http://b:2379 cannot be asked: connection refused");
  facts.etcds[2].error = "connection refused";
  const auto findings = judge_coordination(CoordinationConfig(), facts);
  REQUIRE(findings.size() == 2);
  for (const auto& finding : findings) CHECK(finding.severity == FindingSeverity::kError);
}

TEST_CASE("an etcd with users that wants a certificate without a name: the remedy says so") {
  CoordinationFacts facts = three();
  facts.etcds[1].error = "CommonName of client sending a request against gateway will be ignored";
  const auto findings = judge_coordination(CoordinationConfig(), facts);
  REQUIRE(findings.size() == 1);
  CHECK(findings.front().remedy.starts_with("a certificate without a CommonName as `[coordination] tls.cert`"));
}

TEST_CASE("an etcd that answers may still be of no use") {
  CoordinationFacts facts = three();
  facts.etcds[0].version = "3.3.25";
  CHECK(only_finding(facts) == "error: etcd http://a:2379 is version 3.3.25, and 3.4 is needed");
  facts = three();
  facts.etcds[0].version = "3.10.0";
  CHECK(judge_coordination(CoordinationConfig(), facts).empty());
  facts.etcds[0].has_leader = false;
  facts.etcds[0].cannot_read = "etcdserver: no leader";
  CHECK(only_finding(facts).starts_with("error: etcd http://a:2379 has no leader"));
  facts = three();
  facts.etcds[0].alarms = {"alarm:NOSPACE"};
  CHECK(only_finding(facts) == "error: etcd http://a:2379 says: alarm:NOSPACE");
  facts = three();
  facts.etcds[0].cannot_read = "etcdserver: permission denied";
  CHECK(only_finding(facts) ==
        "error: etcd http://a:2379 does not let pgkeel read /pgkeel/: etcdserver: permission denied");
  facts = three();
  facts.etcds[0].answered_in = 800ms;
  CHECK(only_finding(facts) ==
        "warning: etcd http://a:2379 took 800ms to answer, and a lease of 4s is renewed every 500ms");
}

TEST_CASE("one etcd is one that nothing survives") {
  CoordinationFacts facts = three();
  facts.etcds.resize(1);
  CHECK(only_finding(facts) == "notice: 1 etcd is configured: with one of them gone nobody decides");
}

TEST_CASE("another pgkeel that does not answer, is of another version, or is configured differently") {
  CoordinationFacts facts = three();
  facts.peers[0].error = "no route to host";
  CHECK(only_finding(facts) == "error: pgkeel two at 10.0.0.22:7434 does not answer this one: no route to host");
  facts = three();
  facts.peers[0].version = "0.0.1";
  CHECK(only_finding(facts).starts_with("notice: pgkeel two is version 0.0.1, and this is "));
  facts = three();
  facts.peers[0].differs_in = {"cluster.orders.durability", "coordination.lease"};
  CHECK(only_finding(facts) ==
        "warning: pgkeel two is configured differently in cluster.orders.durability, coordination.lease");
}

TEST_CASE("files that cannot be read are all that there is to say") {
  CoordinationFacts facts;
  facts.problem = "[coordination]: /nowhere: No such file or directory";
  CHECK(only_finding(facts) == "error: [coordination]: /nowhere: No such file or directory");
}

TEST_CASE("etcd says how it is") {
  const auto status = read_status(
      R"({"header":{"revision":"1"},"version":"3.4.23","leader":"3319814642761637952","errors":["alarm:NOSPACE "]})");
  REQUIRE(status);
  CHECK(status->version == "3.4.23");
  CHECK(status->has_leader);
  CHECK(status->errors == std::vector<std::string>{"alarm:NOSPACE"});
  CHECK_FALSE(read_status(R"({"version":"3.4.23"})")->has_leader);
  for (const char* body : {"", "[]", "{}", R"({"version":3})", R"({"version":"3.4.23","leader":"x"})"})
    CHECK_FALSE(read_status(body));
}

TEST_CASE("the certificate among pgkeels must be a pgkeel's, and bear the host at which the others reach it") {
  const test::TemporaryFolder folder;
  REQUIRE(run_keygen({folder.path(), {}, 3650, {"lb1.example,10.0.0.21"}}) == 0);
  Config config;
  config.coordination.etcd = {"http://127.0.0.1:2379"};
  PeerConfig& peer = config.coordination.peer;
  const auto problem = [&] {
    const auto certificates = look_at_certificates(config);
    REQUIRE(certificates.size() == 1);
    CHECK(certificates.front().key == "coordination.peer");
    return certificates.front().problem;
  };
  const std::string name = folder.path() + "/proxy-lb1.example";
  peer.tls = {folder.path() + "/ca.crt", name + ".crt", name + ".key"};
  for (const char* host : {"lb1.example", "10.0.0.21"}) {
    peer.address = {host, 7434};
    CHECK(problem() == "");
  }
  for (const char* host : {"lb2.example", "10.0.0.22"}) {
    peer.address = {host, 7434};
    CHECK(problem() == name + ".crt does not bear " + host +
                           ", at which the others reach this pgkeel (`address`): pgkeel keygen --proxy " + host);
  }
  // Good for asking others, not for being asked.
  peer.tls = {folder.path() + "/ca.crt", folder.path() + "/proxy.crt", folder.path() + "/proxy.key"};
  CHECK(problem() != "");
  peer.tls.cert = "/nowhere";
  CHECK(problem().find("/nowhere") != std::string::npos);
}

TEST_CASE("a node that only one of several pgkeels could start is told of") {
  Config config;
  ClusterConfig& cluster = config.clusters.emplace_back();
  cluster.name = "orders";
  cluster.nodes.resize(2);
  cluster.nodes[1].local.emplace();
  CHECK(check_report("f", ConfigResult(config), {}).problems == "");
  config.coordination.etcd = {"http://127.0.0.1:2379"};
  const auto report = check_report("f", ConfigResult(config), {});
  CHECK(report.problems.starts_with("f: warning: cluster.orders.node[1].local: only the pgkeel on this host"));
  CHECK(report.exit_status == 0);
}
