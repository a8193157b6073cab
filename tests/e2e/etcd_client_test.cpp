// EtcdClient against a real etcd: leases, transactions, watches, and what it says where etcd is away.
#include "replication/coordination/etcd_client.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/loop.h"
#include "proxy/io/timer.h"
#include "tests/support/etcd_server.h"
#include "tests/support/peer.h"
#include "tests/support/postgres_server.h"

namespace pgkeel::test {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLimit = 5s;
const EtcdKeys kKeys("/pgkeel/");

class Client {
 public:
  explicit Client(std::vector<std::string> endpoints) : client_(loop_, {std::move(endpoints), "", "", {}}) {}

  Result<std::string, EtcdFailure> ask(EtcdRequest request, Duration limit = kLimit) {
    std::optional<Result<std::string, EtcdFailure>> answer;
    client_.ask(std::move(request), limit, [&](Result<std::string, EtcdFailure> body) { answer = std::move(body); });
    run_until([&] { return answer.has_value(); });
    REQUIRE(answer);
    return *answer;
  }

  EtcdAnswer transact(const EtcdTransaction& transaction) {
    const auto body = ask(transaction.request());
    REQUIRE_MESSAGE(body, body.error().message);
    const auto answer = read_answer(*body);
    REQUIRE(answer);
    return *answer;
  }

  std::uint64_t lease(std::uint64_t seconds) {
    const auto body = ask(grant_lease(seconds));
    REQUIRE_MESSAGE(body, body.error().message);
    const auto granted = read_granted(*body);
    REQUIRE(granted);
    return *granted;
  }

  // Looks after each round of callbacks; the limit only ends a broken test.
  void run_until(const std::function<bool()>& condition) {
    Timer often(loop_, [&] {
      if (condition()) loop_.stop();
    });
    Timer late(loop_, [&] { loop_.stop(); });
    often.start_repeating(1ms);
    late.start_once(30s);
    loop_.run();
    CHECK(condition());
  }

  EtcdClient& client() { return client_; }

 private:
  Loop loop_;
  EtcdClient client_;
};

TEST_CASE("what is written in a transaction is read back as the state that the members agree on") {
  EtcdServer etcd;
  Client client({etcd.url()});
  const auto lease = client.lease(10);
  LiveMember self;
  self.instance = "a1";
  self.address = "127.0.0.1:7432";

  const auto registered = client.transact(
      EtcdTransaction().put(kKeys.member("a"), write_live_member(self), lease).read_prefix(kKeys.prefix()));
  CHECK(registered.succeeded);
  AgreedState state;
  for (const auto& entry : registered.entries) CHECK(kKeys.take(state, entry));
  REQUIRE(state.members.contains("a"));
  self.revision = registered.revision;
  CHECK(state.members["a"] == self);

  // Nobody leads yet: the first one wins, the second one does not.
  const auto campaign = [&](const std::string& name) {
    return client
        .transact(EtcdTransaction()
                      .if_created_at(kKeys.leader(), 0)
                      .if_lease(kKeys.member("a"), lease)
                      .put(kKeys.leader(), write_leader(name, name + "1"), lease))
        .succeeded;
  };
  CHECK(campaign("a"));
  CHECK_FALSE(campaign("b"));
}

TEST_CASE("a leader's write holds in its term only, and on the version that it was made from") {
  EtcdServer etcd;
  Client client({etcd.url()});
  const auto lease = client.lease(10);
  const auto made = client.transact(EtcdTransaction().put(kKeys.leader(), write_leader("a", "a1"), lease));
  const auto write = [&](std::uint64_t term, std::uint64_t version) {
    return client.transact(
        EtcdTransaction()
            .if_created_at(kKeys.leader(), term)
            .if_version(kKeys.route("orders"), version)
            .put(kKeys.route("orders"), write_shared_route({1, 1, "n1", RouteMode::kNormal, "first"})));
  };
  CHECK_FALSE(write(made.revision + 1, 0).succeeded);
  const auto written = write(made.revision, 0);
  CHECK(written.succeeded);
  CHECK_FALSE(write(made.revision, 0).succeeded);
  CHECK(write(made.revision, written.revision).succeeded);
}

TEST_CASE("a lease that is revoked takes its keys away, a watch tells it, and the lease is unknown from then on") {
  EtcdServer etcd;
  Client client({etcd.url()});
  const auto lease = client.lease(10);
  const auto body = client.ask(renew_lease(lease));
  REQUIRE(body);
  const auto renewal = read_renewal(*body);
  REQUIRE(renewal);
  CHECK(renewal->holds);

  AgreedState state;
  std::string ended;
  client.client().watch(
      kKeys.prefix(), renewal->revision + 1,
      [&](const EtcdNews& news) {
        for (const auto& event : news.events) {
          if (event.gone) {
            kKeys.take_gone(state, event.entry.key);
          } else {
            CHECK(kKeys.take(state, event.entry));
          }
        }
        state.revision = news.revision;
      },
      [&](const std::string& why) { ended = why; });
  LiveMember self;
  self.instance = "a1";
  client.transact(EtcdTransaction().put(kKeys.member("a"), write_live_member(self), lease));
  client.run_until([&] { return state.members.contains("a"); });

  REQUIRE(client.ask(revoke_lease(lease)));
  client.run_until([&] { return !state.members.contains("a"); });
  const auto after = client.ask(renew_lease(lease));
  REQUIRE(after);
  const auto gone = read_renewal(*after);
  REQUIRE(gone);
  CHECK_FALSE(gone->holds);
  const auto put = client.ask(EtcdTransaction().put(kKeys.member("a"), "{}", lease).request());
  REQUIRE_FALSE(put);
  CHECK(put.error().refused);
  CHECK(lease_is_unknown(put.error().answer));

  etcd.kill();
  client.run_until([&] { return !ended.empty(); });
}

TEST_CASE("a member of etcd that does not answer is passed over by the next request") {
  EtcdServer etcd;
  Client client({"http://127.0.0.1:" + std::to_string(free_port()), etcd.url()});
  const auto first = client.ask(grant_lease(10));
  REQUIRE_FALSE(first);
  CHECK_FALSE(first.error().refused);
  CHECK(client.ask(grant_lease(10)));

  etcd.freeze();
  const auto frozen = client.ask(grant_lease(10), 200ms);
  REQUIRE_FALSE(frozen);
  CHECK_FALSE(frozen.error().refused);
  etcd.thaw();
}

}  // namespace
}  // namespace pgkeel::test
