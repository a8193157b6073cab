// How long an AgentClient goes on with an order that its agent does not take up.
#include "replication/execute/agent_client.h"

#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/support/peer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_certificates.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// An agent that whoever calls it finds, but that never answers.
struct SilentAgent {
  [[nodiscard]] std::shared_ptr<const NodeHost> host(
      std::stop_token break_off, std::shared_ptr<const BootDeadline> acting = std::make_shared<BootDeadline>()) const {
    const AgentAccessConfig access{"https://127.0.0.1:" + std::to_string(listener.port()),
                                   {certificates.ca, certificates.client_cert, certificates.client_key}};
    return AgentClient("a", {"127.0.0.1", 5432}, std::make_shared<AgentConnections>(access),
                       std::make_shared<AgentSilence>(""), std::move(acting))
        .breakable(std::move(break_off));
  }

  TemporaryFolder folder;
  TestCertificates certificates{folder.path()};
  PeerListener listener;
};

}  // namespace

TEST_CASE("an order that was broken off is not sent") {
  const SilentAgent agent;
  std::stop_source work;
  work.request_stop();
  const auto started = agent.host(work.get_token())->start(10s);
  REQUIRE_FALSE(started);
  CHECK(started.error().message == "start was broken off before the agent took it up");
  CHECK_FALSE(agent.listener.somebody_waits());
}

TEST_CASE("an order that its agent does not take up is repeated until it is broken off, and no longer") {
  SilentAgent agent;
  std::stop_source work;
  Result<void> started;
  std::thread orders([&, host = agent.host(work.get_token())] { started = host->start(10min); });
  for (int times = 0; times < 3; ++times) agent.listener.accept().close();
  agent.listener.close();
  const Instant broken_off_at = monotonic_now();
  work.request_stop();
  orders.join();
  CHECK_FALSE(started);
  CHECK(monotonic_now() - broken_off_at < 60s);  // its patience is more than ten minutes
}

TEST_CASE("an order that its agent does not take up is not repeated by a pgkeel that may have ceased to lead") {
  SilentAgent agent;
  const auto acting = std::make_shared<BootDeadline>();
  Result<void> fenced;
  std::thread orders([&, host = agent.host({}, acting)] { fenced = host->fence(10min); });
  for (int times = 0; times < 3; ++times) agent.listener.accept().close();
  acting->set(Instant{since_boot()});
  agent.listener.close();
  orders.join();
  REQUIRE_FALSE(fenced);
  CHECK(fenced.error().message.find("another pgkeel may lead by now") != std::string::npos);
}
