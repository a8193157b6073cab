// pgkeel with few descriptors, under clients that connect and say nothing.
#include <vector>

#include "tests/e2e/cluster_fixture.h"
#include "tests/support/peer.h"
#include "tests/support/sql_connection.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// Holds more silent connections open than pgkeel has descriptors, and replaces those that it drops.
class SilentCrowd {
 public:
  explicit SilentCrowd(std::uint16_t port) : port_(port) {
    while (peers_.size() < kPeers) peers_.push_back(Peer::connect_to(port_));
    thread_ = std::thread([this] {
      while (!stopping_) {
        for (auto& peer : peers_) {
          if (peer.has_something_to_read()) peer = Peer::connect_to(port_);
        }
        std::this_thread::sleep_for(10ms);
      }
    });
  }
  ~SilentCrowd() {
    stopping_ = true;
    thread_.join();
  }
  SilentCrowd(const SilentCrowd&) = delete;
  SilentCrowd& operator=(const SilentCrowd&) = delete;

 private:
  static constexpr std::size_t kPeers = 400;

  const std::uint16_t port_;
  std::vector<Peer> peers_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("silent clients beyond the limit on descriptors hinder neither other clients nor a failover") {
  Cluster cluster({"b"}, {.proxy_lines = {"login_timeout = \"10m\""},
                          .cluster_lines = {},
                          .detection_lines = {},
                          .descriptor_limit = 256});
  Writers writers(cluster.pgkeel->conninfo(), 4);
  REQUIRE(writers.wait_for_more(50));
  const SilentCrowd crowd(cluster.pgkeel->port());
  REQUIRE_MESSAGE(writers.wait_for_more(50), cluster.pgkeel->describe());
  CHECK(SqlConnection(cluster.pgkeel->conninfo()).value("SELECT 1") == "1");
  const auto probes_of_a = [&] { return cluster.pgkeel->status()["nodes"][0]["probes"].get<int>(); };
  const int probes_before = probes_of_a();
  CHECK(wait_until([&] { return probes_of_a() > probes_before; }));

  cluster.server("a").kill_tree();
  REQUIRE_MESSAGE(writers.wait_for_more(50), cluster.pgkeel->describe());
  REQUIRE_MESSAGE(cluster.pgkeel->wait_normal("b"), cluster.pgkeel->describe());
  writers.stop();
  CHECK(writers.count_lost(cluster.pgkeel->conninfo()) == 0);
  CHECK_MESSAGE(writers.connect_errors().empty(), writers.connect_errors().front());
  CHECK(cluster.pgkeel->status()["state_error"].is_null());
  cluster.check_roles("b");
  CHECK(cluster.pgkeel->log_text().find("room for ") != std::string::npos);
}

TEST_CASE("with too few descriptors for itself pgkeel does not start, and says what it needs") {
  const TemporaryFolder folder;
  const auto server = PostgresServer::primary(folder, "a");
  PgkeelOptions options;
  options.descriptor_limit = 100;
  PgkeelProcess pgkeel(folder, {server.get()}, options);
  pgkeel.start();
  REQUIRE(wait_until([&] { return !pgkeel.running(); }));
  CHECK(pgkeel.log_text().find("LimitNOFILE") != std::string::npos);
}
