// The admin endpoint in TLS: who is answered, by whom, and what goes on when the certificate is replaced.
#include <doctest/doctest.h>
#include <httplib.h>

#include "proxy/admin/admin_server.h"
#include "proxy/io/descriptor_limit.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/https_client.h"
#include "tests/support/bad_company.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"
#include "tests/support/tls_peer.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr Duration kEnough = 5min;  // however busy the machine is
constexpr int kTls11 = 0x0302;
constexpr int kTls12 = 0x0303;

std::shared_ptr<const TlsAcceptor> acceptor_of(const std::string& cert, const std::string& key) {
  auto acceptor = TlsAcceptor::open_to_all({cert, read_file(cert).value()}, {key, read_file(key).value()});
  REQUIRE(acceptor);
  return *acceptor;
}

struct Endpoint {
  Endpoint() {
    events = std::move(EventLog::open(folder.path()).value());
    AdminSources sources;
    sources.clusters = [] { return std::vector<ClusterStatus>{}; };
    sources.metrics = [](const auto&) { return std::string("measured"); };
    sources.events = events.get();
    sources.tls = acceptor_of(certificates.cert, certificates.key);
    auto started = AdminServer::start({"127.0.0.1", 0}, std::move(sources));
    REQUIRE(started);
    server = std::move(*started);
  }

  // What a client sees that believes `authority_file`.
  [[nodiscard]] Result<HttpsAnswer> get(const std::string& authority_file, bool name_must_match = true,
                                        const std::string& host = "127.0.0.1") const {
    HttpsPeer peer;
    peer.url = "https://" + host + ":" + std::to_string(server->port());
    peer.authority_pem = read_file(authority_file).value();
    peer.is_agent = false;
    peer.name_must_match = name_must_match;
    return HttpsClient(std::move(peer)).get("/metrics", 10s);
  }
  [[nodiscard]] TlsPeer connect(int newest_version = 0) const {
    TlsPeerOptions options;
    options.offers_postgresql = false;
    options.authority_file = certificates.ca;
    options.newest_version = newest_version;
    return TlsPeer(Peer::connect_to(server->port()), options);
  }
  void tell(const std::string& text) const {
    Event event;
    event.text = text;
    events->record(std::move(event));
  }

  TemporaryFolder folder;
  TestCertificates certificates{folder.path()};
  std::unique_ptr<EventLog> events;
  std::unique_ptr<AdminServer> server;
};

std::string receive_until(TlsPeer& peer, const std::string& what) {
  std::string all;
  while (all.find(what) == std::string::npos) {
    const std::string more = peer.receive(1);
    if (more.empty()) break;
    all += more;
  }
  return all;
}

}  // namespace

TEST_CASE("a client that believes the authority, or the certificate itself, is answered") {
  const Endpoint endpoint;
  const auto answer = endpoint.get(endpoint.certificates.ca);
  REQUIRE_MESSAGE(answer, answer.error().message);
  CHECK(answer->body == "measured");
  CHECK(endpoint.get(endpoint.certificates.cert, false));
  CHECK_FALSE(endpoint.get(endpoint.certificates.strange_ca));
  CHECK_FALSE(endpoint.get(endpoint.certificates.strange_cert, false));
  CHECK_FALSE(endpoint.get(endpoint.certificates.ca, true, "127.0.0.2"));  // a name that it does not bear
}

TEST_CASE("TLS 1.2 at least, and nothing in clear") {
  const Endpoint endpoint;
  TlsPeer newer = endpoint.connect(kTls12);
  newer.shake_hands();
  TlsPeer older = endpoint.connect(kTls11);
  CHECK_THROWS_AS(older.shake_hands(), TlsPeerError);
  httplib::Client plain("127.0.0.1", endpoint.server->port());
  CHECK_FALSE(plain.Get("/metrics"));
}

TEST_CASE("events are streamed, also on while another certificate is shown to those who come") {
  const Endpoint endpoint;
  TlsPeer listens = endpoint.connect();
  listens.shake_hands();
  const std::string before = listens.certificate_of_other_side();
  listens.send("GET /api/v1/events HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\n\r\n");
  endpoint.tell("the first");
  CHECK(receive_until(listens, "the first").find("200 OK") != std::string::npos);

  const std::string cert = endpoint.folder.path() + "/new.crt";
  const std::string key = endpoint.folder.path() + "/new.key";
  endpoint.certificates.write_server(cert, key, {"127.0.0.1"});
  endpoint.server->use(acceptor_of(cert, key));
  TlsPeer later = endpoint.connect();
  later.shake_hands();
  CHECK(later.certificate_of_other_side() != before);
  CHECK_FALSE(endpoint.get(endpoint.certificates.cert, false));
  CHECK(endpoint.get(cert, false));
  endpoint.tell("the second");
  CHECK(receive_until(listens, "the second").ends_with("the second"));
}

TEST_CASE("handshakes that do not go on, and what is none, keep nobody from an answer") {
  raise_descriptor_limit();
  const Endpoint endpoint;
  const std::string hello = TlsPeer(Peer()).take_output();
  for (const std::string& words : {std::string(), hello.substr(0, hello.size() / 2), hello, std::string(20'000, 'x')}) {
    CAPTURE(words.size());
    const BadCompany company(endpoint.server->port(), 500, words);
    REQUIRE(wait_until([&] { return company.all_have_come(); }, kEnough));
    for (int time = 0; time < 3; ++time) {
      const auto is_answered = [&] {
        const auto answer = endpoint.get(endpoint.certificates.ca);
        return answer && answer->status == 200;
      };
      CHECK(wait_until(is_answered, kEnough));
    }
    CHECK(company.times_refused() == 0);
  }
}
