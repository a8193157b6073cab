// Who may call an agent, and what it makes of strange callers.
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "tests/support/bad_company.h"
#include "tests/support/peer.h"
#include "tests/support/tls_peer.h"
#include "tests/support/wait_until.h"
#include "tests/unit/agent/agent_of_a.h"

using namespace pgkeel;
using namespace pgkeel::test;

TEST_CASE("only a pgkeel with a certificate of the agent's authority is let in, and only over TLS") {
  const AgentOfA setup;
  const auto& certificates = setup.certificates;
  const Validity now{wall_now() - 24h, wall_now() + 24h};
  const auto write = [&](const std::string& name, const KeyedCertificate& made) {
    std::ofstream(certificates.file(name + ".crt")) << made.certificate_pem;
    std::ofstream(certificates.file(name + ".key")) << made.key_pem;
  };
  const auto read = [&](const std::string& name) {
    std::ifstream file(certificates.file(name));
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  const KeyedCertificate authority{read("ca.crt"), read("ca.key")};
  const auto call_with = [&](const std::string& certificate, const std::string& key) {
    HttpsClient http(peer_of(setup.agent.access().url,
                             {certificates.file("ca.crt"), certificate.empty() ? "" : certificates.file(certificate),
                              key.empty() ? "" : certificates.file(key)}));
    return told(http.get("/agent/v1/watch", kCallLimit));
  };
  CHECK(call_with("proxy.crt", "proxy.key") == "200");

  const auto foreign = make_authority(now).value();
  write("foreign", issue_certificate(foreign, {CertificateRole::kProxy, {}, now}).value());
  CHECK(call_with("foreign.crt", "foreign.key").starts_with("https://"));
  write("expired",
        issue_certificate(authority, {CertificateRole::kProxy, {}, {wall_now() - 48h, wall_now() - 24h}}).value());
  CHECK(call_with("expired.crt", "expired.key").starts_with("https://"));
  CHECK(call_with("agent-127.0.0.1.crt", "agent-127.0.0.1.key").starts_with("https://"));
  CHECK(call_with("", "").starts_with("https://"));
  CHECK(call_with("proxy.crt", "proxy.key") == "200");

  auto plain = Peer::connect_to(setup.agent.port());
  plain.send("GET /agent/v1/watch HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(plain.receive_to_end().find("200") == std::string::npos);
}

TEST_CASE("pgkeel talks to no agent of another authority, of another host, or to what is no agent") {
  const AgentOfA setup;
  auto peer = setup.agent.peer();
  peer.url = "https://localhost:" + std::to_string(setup.agent.port());
  CHECK(told(HttpsClient(peer).get("/agent/v1/watch", kCallLimit)).find("certificate") != std::string::npos);
  const Validity now{wall_now() - 24h, wall_now() + 24h};
  peer = setup.agent.peer();
  peer.authority_pem = make_authority(now)->certificate_pem;
  CHECK(told(HttpsClient(peer).get("/agent/v1/watch", kCallLimit)).find("certificate") != std::string::npos);
  const auto silence = std::make_shared<AgentSilence>("");
  const AgentAccessConfig nowhere{"https://127.0.0.1:1", setup.certificates.proxy()};
  const AgentClient nobody("a", {"127.0.0.1", setup.pair.a->port()}, std::make_shared<AgentConnections>(nowhere),
                           silence);
  const Instant began = monotonic_now();
  CHECK_FALSE(nobody.fence(1s));
  CHECK(monotonic_now() - began < 20s);
}

TEST_CASE("strange requests are refused, and an agent at whose door hundreds stand who are no pgkeels still answers") {
  const AgentOfA setup;
  HttpsClient http(setup.agent.peer());
  CHECK(http.post("/agent/v1/jobs", "{", kCallLimit)->status == 400);
  CHECK(http.post("/agent/v1/jobs", "{\"id\": \"1\"}", kCallLimit)->status == 400);
  CHECK(told(http.post("/agent/v1/jobs", std::string(2U << 20U, 'x'), kCallLimit)) != "202");
  CHECK(http.get("/agent/v2/watch", kCallLimit)->status == 404);
  CHECK(http.get("/agent/v1/facts?node=a&host=x;y&port=5432", kCallLimit)->status == 400);
  CHECK(http.get("/agent/v1/facts", kCallLimit)->status == 400);
  for (const std::string& words : {std::string(), TlsPeer(Peer()).take_output()}) {
    const BadCompany strangers(setup.agent.port(), 500, words);
    REQUIRE(wait_until([&] { return strangers.all_have_come(); }, 5min));
    for (int time = 0; time < 3; ++time) {
      const auto is_answered = [&] {
        return told(HttpsClient(setup.agent.peer()).get("/agent/v1/watch", kCallLimit)) == "200";
      };
      CHECK(wait_until(is_answered, 5min));  // however busy the machine is
    }
    CHECK(strangers.times_refused() == 0);
  }
  CHECK(setup.pair.a->is_primary());
}

TEST_CASE("certificates are renewed on both sides without a restart, and no job is dropped") {
  AgentOfA setup;
  const auto& certificates = setup.certificates;
  const Validity now{wall_now() - 1h, wall_now() + 24h};
  const auto read = [&](const std::string& name) {
    std::ifstream file(certificates.file(name));
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(certificates.file(name)) << text;
  };
  const auto write_both = [&](const std::string& name, const KeyedCertificate& made) {
    write(name + ".crt", made.certificate_pem);
    write(name + ".key", made.key_pem);
  };
  const auto agent_says = [&](const std::string& words) {
    return wait_until([&] { return setup.agent.log_text().find(words) != std::string::npos; });
  };
  const auto connections = std::make_shared<AgentConnections>(setup.agent.access());
  const AgentClient client("a", {"127.0.0.1", setup.pair.a->port()}, connections, std::make_shared<AgentSilence>(""));
  setup.pair.diverge();
  const auto upstream = ServerPair::upstream(*setup.pair.b);
  setup.pair.b->freeze_tree();  // the rejoin does not get on
  std::jthread job([&] {
    const auto report = client.make_standby({upstream}, [](const std::string&) {});
    CHECK_MESSAGE(report, report.error().message);
  });
  REQUIRE(agent_says("rejoin of a: started"));

  // Files that do not fit together change nothing.
  const std::string key_before = read("agent-127.0.0.1.key");
  write("agent-127.0.0.1.key", read("proxy.key"));
  REQUIRE(agent_says("the new certificate cannot be used, so the one before is: "));
  CHECK(told(HttpsClient(setup.agent.peer()).get("/agent/v1/watch", kCallLimit)) == "200");
  write("agent-127.0.0.1.key", key_before);

  // A new authority: first it is believed beside the old one, then all show what it has signed, then the old one goes.
  const auto next = make_authority(now).value();
  const auto old_client = setup.agent.peer();
  write("ca.crt", read("ca.crt") + next.certificate_pem);
  write_both("agent-127.0.0.1", issue_certificate(next, {CertificateRole::kAgent, {"127.0.0.1"}, now}).value());
  const auto only_next = [&] {
    auto peer = setup.agent.peer();
    peer.authority_pem = next.certificate_pem;
    return told(HttpsClient(peer).get("/agent/v1/watch", kCallLimit));
  };
  CHECK(wait_until([&] { return only_next() == "200"; }, 30s));
  write_both("proxy", issue_certificate(next, {CertificateRole::kProxy, {}, now}).value());
  CHECK(wait_until([&] { return connections->look_at_certificates().text.starts_with("a new certificate is used"); }));
  write("ca.crt", next.certificate_pem);
  CHECK(wait_until([&] { return connections->look_at_certificates().text.starts_with("a new certificate is used"); }));
  const auto facts = client.facts();
  REQUIRE_MESSAGE(facts, facts.error().message);
  CHECK(facts->certificate_ends < wall_now() + 25h);
  CHECK(wait_until([&] { return told(HttpsClient(old_client).get("/agent/v1/watch", kCallLimit)) != "200"; }, 30s));

  setup.pair.b->thaw_tree();
  job.join();
  CHECK(ServerPair::replicates(*setup.pair.b, *setup.pair.a));
}
