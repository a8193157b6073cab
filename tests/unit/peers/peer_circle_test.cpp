// Two pgkeels that know each other, in this process, with certificates as `pgkeel keygen --proxy` makes them.
#include "replication/peers/peer_circle.h"

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/loop.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/io/loop_runner.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

struct Certificates {
  Certificates() {
    authority = make_authority(validity()).value();
    REQUIRE(write_new(file("ca.crt"), authority.certificate_pem, 0644));
    issue("left", {"127.0.0.1"});
    issue("right", {"127.0.0.1"});
    issue("caller", {});
  }
  static Validity validity() { return {wall_now() - 1h, wall_now() + 24h}; }
  [[nodiscard]] std::string file(const std::string& name) const { return folder.path() + "/" + name; }
  void issue(const std::string& name, const std::vector<std::string>& hosts) const {
    const auto made = issue_certificate(authority, {CertificateRole::kProxy, hosts, validity()}).value();
    REQUIRE(write_new(file(name + ".crt"), made.certificate_pem, 0644));
    REQUIRE(write_new(file(name + ".key"), made.key_pem, 0600));
  }
  [[nodiscard]] CoordinationConfig config(const std::string& name) const {
    CoordinationConfig config;
    config.name = name;
    config.peer.listen = {"127.0.0.1", 0};
    config.peer.tls = {file("ca.crt"), file(name + ".crt"), file(name + ".key")};
    return config;
  }

  TemporaryFolder folder;
  KeyedCertificate authority;
};

struct Member {
  Member(Loop& loop, const Certificates& certificates, const std::string& own_name, SharedSettings settings)
      : name(own_name) {
    auto opened = PeerCircle::open(
        loop, certificates.config(name), std::move(settings),
        {.promise = [this](const PromiseRequest&) -> std::optional<Promise> {
           return Promise{.from = name, .holds = true, .roster = {1, {"left", "right"}}, .routes = {}};
         },
         .view = [this] { return PeerView{.name = name, .version = "1", .settings = {}, .nodes = {}}; },
         .cancel = [this](const PeerCancel& cancel,
                          const std::function<void(bool)>& done) { done(cancel.secret == secret); }},
        [this](PeerCircle::Severity, const std::string& text) { told.push_back(text); });
    REQUIRE(opened);
    circle = std::move(*opened);
  }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(circle->port()); }

  std::string name;
  std::string secret;
  std::vector<std::string> told;
  std::unique_ptr<PeerCircle> circle;
};

struct Two {
  Two() : left(loop, certificates, "left", settings), right(loop, certificates, "right", settings) {
    left.circle->members_are({{"right", right.address()}});
    right.circle->members_are({{"left", left.address()}});
  }

  Loop loop;
  Certificates certificates;
  SharedSettings settings = {{"cluster.orders.durability", "\"strict\""}, {"proxy.hold_timeout", "\"10s\""}};
  Member left;
  Member right;
};

}  // namespace

TEST_CASE("each pgkeel sees the other, promises included") {
  Two two;
  REQUIRE(run_until(two.loop, [&] {
    return two.left.circle->views().contains("right") && two.right.circle->views().contains("left");
  }));
  std::optional<std::optional<Promise>> promise;
  two.left.circle->ask_promise(two.right.address(), {.from = "left", .instance = "7f", .applied = {}},
                               [&](std::optional<Promise> answer) { promise = std::move(answer); });
  // The limit is an eighth of the lease; a busy machine may need another try.
  REQUIRE(run_until(two.loop, [&] {
    if (promise && !*promise) {
      promise.reset();
      two.left.circle->ask_promise(two.right.address(), {.from = "left", .instance = "7f", .applied = {}},
                                   [&](std::optional<Promise> answer) { promise = std::move(answer); });
    }
    return promise && *promise;
  }));
  CHECK((*promise)->from == "right");
  two.left.circle->members_are({});
  CHECK(two.left.circle->views().empty());
}

TEST_CASE("a cancel request finds the pgkeel that has the session") {
  Two two;
  two.right.secret = "of right";
  const auto is_forwarded = [&](const std::string& secret) {
    std::optional<bool> forwarded;
    two.left.circle->find_session({"orders", 7, secret}, [&](bool answer) { forwarded = answer; });
    REQUIRE(run_until(two.loop, [&] { return forwarded.has_value(); }));
    return *forwarded;
  };
  CHECK(is_forwarded("of right"));
  CHECK_FALSE(is_forwarded("of nobody"));
}

TEST_CASE("what is configured differently is told once, by its keys, and when it is mended") {
  Two two;
  REQUIRE(run_until(two.loop, [&] { return two.left.circle->views().contains("right"); }));
  CHECK(two.left.circle->differences().empty());
  CHECK(two.left.told.empty());
  SharedSettings changed = two.settings;
  changed["proxy.hold_timeout"] = "\"20s\"";
  two.right.circle->settings_are(changed);
  REQUIRE(run_until(two.loop, [&] { return !two.left.told.empty(); }));
  const std::string difference = "is configured differently in what all must have in common: proxy.hold_timeout";
  CHECK(two.left.told == std::vector<std::string>{"pgkeel right " + difference});
  CHECK(two.left.circle->differences().at("right") == std::vector<std::string>{"proxy.hold_timeout"});
  CHECK(two.right.told == std::vector<std::string>{"pgkeel left " + difference});
  two.right.circle->settings_are(two.settings);
  REQUIRE(run_until(two.loop, [&] { return two.left.told.size() == 2; }));
  CHECK(two.left.told.back() == "pgkeel right is configured as this one again");
  CHECK(two.left.circle->differences().empty());
}

TEST_CASE("a certificate that is no pgkeel's to be reached at, or is not there, is refused at start") {
  Loop loop;
  const Certificates certificates;
  const auto why_not = [&](const CoordinationConfig& config) -> std::string {
    const auto circle = PeerCircle::open(loop, config, {}, {}, [](PeerCircle::Severity, const std::string&) {});
    return circle ? "" : circle.error().message;
  };
  CHECK(why_not(certificates.config("left")).empty());
  CHECK(why_not(certificates.config("caller")).starts_with("[coordination] peer: "));
  CHECK(why_not(certificates.config("nobody")).find("nobody.crt") != std::string::npos);
}
