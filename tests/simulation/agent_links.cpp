#include "tests/simulation/agent_links.h"

#include <utility>

#include "tests/simulation/agent.h"

namespace pgkeel::simulation {

using namespace std::chrono_literals;

namespace {
constexpr Duration kWait = 500ms;  // so long an agent keeps a call open where nothing happens
constexpr Duration kAnswerLimit = 1s;
constexpr Duration kCallAgain = 200ms;  // an agent that did not answer
}  // namespace

void AgentLinks::start() {
  life_ += 1;
  links_.clear();
  for (const auto& server : world_.servers) {
    links_.push_back({AgentEvidence(server.address.port), Instant{}, true});
    if (world_.agents[server.number] == nullptr) continue;
    later(world_.random.between(0ms, 50ms), [this, node = server.number] { call(node); });
  }
}

void AgentLinks::later(Duration pause, std::function<void()> next) {
  world_.queue.after(pause, [this, next = std::move(next), life = life_] {
    if (life == life_) next();
  });
}

// One call, and what follows from it.
void AgentLinks::call(std::size_t node) {
  if (!world_.reaches_agent(node)) {
    later(kAnswerLimit, [this, node] { is_lost(node); });
    return later(kAnswerLimit + kCallAgain, [this, node] { call(node); });
  }
  Agent& agent = *world_.agents[node];
  agent.pgkeel_called();
  later(world_.setting.network_delay * 2, [this, node, word = agent.word()] { word_arrives(node, word); });
  later(kWait, [this, node] { call(node); });
}

void AgentLinks::server_died(std::size_t node) {
  if (!world_.reaches_agent(node)) return;
  later(world_.setting.network_delay, [this, node, word = world_.agents[node]->word()] { word_arrives(node, word); });
}

void AgentLinks::word_arrives(std::size_t node, AgentWord word) {
  Link& link = links_[node];
  word.at = world_.queue.now();
  link.heard_at = word.at;
  const bool was_silent = std::exchange(link.silent, false);
  if (const auto death = link.evidence.reported(word)) on_death(node, *death);
  if (was_silent) on_change();
}

void AgentLinks::is_lost(std::size_t node) {
  Link& link = links_[node];
  if (link.silent || world_.queue.now() - link.heard_at < kAnswerLimit) return;
  link.silent = true;
  on_change();
}

void AgentLinks::probe_answered(std::size_t node, const Observation& observation) {
  if (world_.agents[node] != nullptr) links_[node].evidence.answered(observation);
}

std::string AgentLinks::doubt(std::size_t node) const {
  if (world_.servers[node].host != Host::kWithAgent) return "";
  return links_[node].silent ? "its agent does not answer" : links_[node].evidence.doubt();
}

}  // namespace pgkeel::simulation
