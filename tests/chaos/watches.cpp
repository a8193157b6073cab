#include "tests/chaos/watches.h"

#include <algorithm>

#include "proxy/io/clock.h"
#include "tests/chaos/workload.h"
#include "tests/support/sql_connection.h"

namespace pgkeel::chaos {
namespace {

using namespace std::chrono_literals;

}  // namespace

RouteWatch::RouteWatch(const test::Network& network, std::string host, const std::vector<std::string>& conninfos)
    : network_(network), host_(std::move(host)) {
  for (const auto& conninfo : conninfos) threads_.emplace_back([this, conninfo] { ask(conninfo); });
}

RouteWatch::~RouteWatch() {
  stopping_ = true;
  for (auto& thread : threads_) thread.join();
}

void RouteWatch::ask(const std::string& conninfo) {
  const auto at_host = network_.visit(host_);
  const std::string question = std::string("SELECT ") + kTakenBy;
  while (!stopping_) {
    try {
      test::SqlConnection connection(conninfo);
      while (!stopping_) {
        Acknowledgement answer;
        answer.began = monotonic_now();
        answer.taken_by = connection.value(question);
        answer.acknowledged = monotonic_now();
        {
          const std::lock_guard lock(mutex_);
          answers_.push_back(std::move(answer));
        }
        std::this_thread::sleep_for(5ms);
      }
    } catch (const test::SqlError&) {
      std::this_thread::sleep_for(20ms);
    }
  }
}

std::size_t RouteWatch::moments_with_two() const {
  const std::lock_guard lock(mutex_);
  return count_two_primary_moments(answers_);
}

std::size_t RouteWatch::answers() const {
  const std::lock_guard lock(mutex_);
  return answers_.size();
}

VipWatch::VipWatch(const test::Network& network, const std::vector<std::string>& hosts, const std::string& address)
    : address_(parse_ip_address(address).value()) {
  for (const auto& host : hosts) {
    const auto at_host = network.visit(host);
    tables_.emplace(host, AddressTable::open().value());
  }
  thread_ = std::thread([this] { look(); });
}

VipWatch::~VipWatch() {
  stopping_ = true;
  thread_.join();
}

void VipWatch::look() {
  const auto has_it = [this](AddressTable& table) {
    const auto held = table.list();
    return held &&
           std::ranges::any_of(*held, [this](const HeldAddress& each) { return each.address.address == address_; });
  };
  while (!stopping_) {
    bool is_held = false;
    for (auto& [host, table] : tables_) {
      if (!has_it(table)) continue;
      is_held = true;
      const std::lock_guard lock(mutex_);
      if (holder_ == host) continue;
      // The one before may have lost it since it was looked at.
      if (!holder_.empty() && has_it(tables_.at(holder_))) ++moments_with_two_;
      holder_ = host;
      moved_at_ = monotonic_now();
    }
    if (!is_held) ++looks_without_holder_;
    std::this_thread::sleep_for(2ms);
  }
}

Instant VipWatch::moved_at() const {
  const std::lock_guard lock(mutex_);
  return moved_at_;
}

std::string VipWatch::holder() const {
  const std::lock_guard lock(mutex_);
  return holder_;
}

}  // namespace pgkeel::chaos
