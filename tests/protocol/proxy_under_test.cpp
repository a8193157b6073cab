#include "tests/protocol/proxy_under_test.h"

#include <future>
#include <stdexcept>
#include <utility>

#include <doctest/doctest.h>

#include "proxy/handover/handover_message.h"

namespace pgkeel::test {
namespace {

NodeConfig node(const char* name, const std::string& host, const PeerListener& server) {
  NodeConfig config;
  config.name = name;
  config.address = {host, server.port()};
  return config;
}

}  // namespace

ProxyUnderTest::ProxyUnderTest(const Options& options)
    : wakeup_(loop_), options_(options), server_host_(options.server_host) {
  ClusterConfig cluster;
  cluster.name = "c";
  cluster.listen = {"127.0.0.1", 0};
  cluster.allow = options.allow;
  cluster.detection.failure_timeout = options.failure_timeout;
  cluster.durability = options.durability;
  cluster.client_tls = options.client_tls;
  cluster.server_tls = options.server_tls;
  cluster.nodes = {node("a", server_host_, a), node("b", server_host_, b)};
  cluster.tell_client_address = options.tell_client_address;
  ClusterConfig other = cluster;
  other.name = "d";
  if (options.read_only) cluster.listen_read_only = {"127.0.0.1", 0};
  configured = {options.proxy, {cluster, other}};
  pool_ = make_pool();
  std::vector<NamedSocket> inherited;
  const auto started = pool_->start(inherited);
  if (!started) throw std::runtime_error(started.error().message);
  pool_->go_on_accepting();
  port_ = pool_->bound_port("c");
  control_ = std::thread([this] { loop_.run(); });
}

std::unique_ptr<WorkerPool> ProxyUnderTest::make_pool() {
  return std::make_unique<WorkerPool>(
      loop_, configured.proxy, configured.clusters, options_.descriptor_limit,
      [this](const LinkEvidence& told) {
        const std::lock_guard lock(mutex_);
        evidence_.push_back(told);
      },
      options_.cancel_judge, options_.verifier_source);
}

ProxyUnderTest::~ProxyUnderTest() {
  if (!stopped_) stop(Duration::zero());
  if (former_) {
    std::promise<void> ended;
    in_control_thread([&] { former_->stop(Duration::zero(), [&] { ended.set_value(); }); });
    ended.get_future().wait();
  }
  in_control_thread([this] {
    pool_.reset();
    former_.reset();
  });
  wakeup_.post([this] { loop_.stop(); });
  control_.join();
}

void ProxyUnderTest::hand_over() {
  std::promise<WorkerPool::Moved> moved;
  in_control_thread([&] {
    former_ = std::exchange(pool_, make_pool());
    auto sockets = former_->listening_sockets();
    if (!pool_->start(sockets)) throw std::runtime_error("the other pool did not start");
    former_->move_out([&](WorkerPool::Moved sessions) { moved.set_value(std::move(sessions)); });
  });
  auto sessions = moved.get_future().get();
  for (const auto& [endpoint, route] : routes_) publish_to(*pool_, route, endpoint);
  std::promise<void> others_told;
  in_control_thread([&] {
    for (auto& [endpoint, session] : sessions) take_over(endpoint, std::move(session));
    former_->leave(
        [this](const std::string& endpoint, MovedSession session) { take_over(endpoint, std::move(session)); },
        [this](const std::string& endpoint, const CancelKey& key, const CancelRegistry::Owner& owner) {
          pool_->add_cancel_key(endpoint, key, owner);
        });
    former_->follow_up([&] { others_told.set_value(); });
    former_->drop_listeners();
    pool_->go_on_accepting();
  });
  others_told.get_future().wait();
}

// As it goes between two processes.
void ProxyUnderTest::take_over(const std::string& endpoint, MovedSession session) {
  HandoverMessage message;
  message.word = HandoverWord::kSession;
  message.cluster = endpoint;
  message.session = std::move(session);
  auto received = read_handover(write_handover(std::move(message)));
  if (!received) throw std::runtime_error(received.error().message);
  pool_->take_over(received->cluster, std::move(*received->session));
}

void ProxyUnderTest::publish_to_former(Route route) {
  publish_to(*former_, std::move(route), "c");
}

void ProxyUnderTest::on_strange_cancel(WorkerPool::StrangeCancel tell) {
  in_control_thread([&] { pool_->on_strange_cancel(std::move(tell)); });
}

bool ProxyUnderTest::forward_cancel(const CancelKey& key) {
  bool is_here = false;
  in_control_thread([&] { is_here = pool_->forward_cancel("c", key); });
  return is_here;
}

void ProxyUnderTest::set_write_deadline(Instant until) {
  in_control_thread([&] { pool_->set_write_deadline("c", until); });
}

void ProxyUnderTest::close_doors(AtTheDoor newcomers) {
  in_control_thread([&] { pool_->close_doors(newcomers); });
}

void ProxyUnderTest::take_back() {
  std::promise<WorkerPool::Moved> moved;
  in_control_thread(
      [&] { pool_->move_out([&](WorkerPool::Moved sessions) { moved.set_value(std::move(sessions)); }); });
  auto sessions = moved.get_future().get();
  in_control_thread([&] {
    for (auto& [endpoint, session] : sessions) take_over(endpoint, std::move(session));
    pool_->go_on_accepting();
  });
}

void ProxyUnderTest::in_control_thread(std::function<void()> task) {
  std::promise<void> done;
  wakeup_.post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

void ProxyUnderTest::publish(Route route, const std::string& endpoint) {
  routes_[endpoint] = route;
  publish_to(*pool_, std::move(route), endpoint);
}

void ProxyUnderTest::publish_read_only(Route route) {
  publish(std::move(route), "c/read-only");
}

void ProxyUnderTest::publish_to(WorkerPool& pool, Route route, const std::string& endpoint) {
  std::promise<void> applied;
  in_control_thread([&] {
    pool.publish_route(
        endpoint, std::move(route), [&] { applied.set_value(); }, [this] { ++times_drained_; });
  });
  applied.get_future().wait();
}

ReadTarget ProxyUnderTest::reader(const std::string& node, As role, bool takes_new) const {
  return {.server = {node, {server_host_, node == "a" ? a.port() : b.port()}},
          .is_primary = role == As::kPrimary,
          .takes_new = takes_new};
}

void ProxyUnderTest::route_to_a(std::uint64_t epoch, std::string reason) {
  publish({.epoch = epoch, .target = RouteTarget{"a", {server_host_, a.port()}}, .reason = std::move(reason)});
}

void ProxyUnderTest::route_to_b(std::uint64_t epoch, std::string reason) {
  publish({.epoch = epoch, .target = RouteTarget{"b", {server_host_, b.port()}}, .reason = std::move(reason)});
}

void ProxyUnderTest::drain_a(std::uint64_t epoch, std::string reason) {
  publish({.epoch = epoch,
           .target = RouteTarget{"a", {"127.0.0.1", a.port()}},
           .mode = RouteMode::kDraining,
           .reason = std::move(reason)});
}

void ProxyUnderTest::route_nowhere(std::uint64_t epoch, std::string reason) {
  publish({.epoch = epoch, .target = std::nullopt, .reason = std::move(reason)});
}

void ProxyUnderTest::stop(Duration limit) {
  std::promise<void> stopped;
  stop_later(limit, [&] { stopped.set_value(); });
  stopped.get_future().wait();
}

void ProxyUnderTest::stop_later(Duration limit, std::function<void()> stopped) {
  stopped_ = true;
  in_control_thread([&] { pool_->stop(limit, std::move(stopped)); });
}

void ProxyUnderTest::replace_client_tls(const ClientTlsConfig& client_tls) {
  ClusterConfig cluster;
  cluster.client_tls = client_tls;
  const auto tls = load_cluster_tls(cluster);
  if (!tls) throw std::runtime_error(tls.error().message);
  in_control_thread([&] { pool_->replace_tls("c", *tls); });
}

std::string ProxyUnderTest::reload() {
  std::string refused;
  in_control_thread([&] {
    auto change = pool_->prepare_reload(configured.proxy, configured.clusters);
    if (change)
      pool_->reload(**change);
    else
      refused = change.error().message;
  });
  return refused;
}

std::uint64_t ProxyUnderTest::bytes_read() const {
  const auto now = stats();
  return now.bytes_from_clients + now.bytes_from_servers;
}

std::vector<LinkEvidence> ProxyUnderTest::evidence() const {
  const std::lock_guard lock(mutex_);
  return evidence_;
}

bool ProxyUnderTest::has_evidence(LinkEvidence::Kind kind, const std::string& node_name) const {
  for (const auto& told : evidence()) {
    if (told.kind == kind && told.node == node_name) return true;
  }
  return false;
}

ProxyUnderTest::Established ProxyUnderTest::establish(PeerListener& server_listener, std::uint32_t process_id,
                                                      std::string_view secret) {
  using namespace wire_test;
  Peer client = connect();
  client.send(startup_message());
  Peer server = server_listener.accept();
  server.receive(startup_message().size());
  const std::string answer = login_answer(process_id, secret);
  server.send(answer);
  const std::string heard = client.receive(answer.size());
  REQUIRE(heard == answer);
  return {std::move(client), std::move(server)};
}

std::size_t send_until_blocked(const ProxyUnderTest& proxy, Peer& sender, std::string_view bytes, int quiet_max) {
  std::size_t sent = 0;
  for (int quiet = 0; quiet < quiet_max;) {
    const auto read_before = proxy.bytes_read();
    const std::size_t more = sender.send_what_fits(bytes.substr(sent));
    sent += more;
    REQUIRE(sent < bytes.size());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    quiet = more == 0 && proxy.bytes_read() == read_before ? quiet + 1 : 0;
  }
  return sent;
}

wire_test::Heard last_error(std::string_view heard) {
  const auto messages = wire_test::split_messages(heard);
  REQUIRE_FALSE(messages.empty());
  const auto& last = messages.back();
  CHECK(last.type == 'E');
  CHECK(last.field('S') == "FATAL");
  CHECK(last.field('V') == "FATAL");
  for (std::size_t at = 0; at + 1 < messages.size(); ++at) CHECK(messages[at].field('V') != "FATAL");
  return last;
}

}  // namespace pgkeel::test
