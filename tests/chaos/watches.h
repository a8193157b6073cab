// Threads that look on while faults come and go. Each ends with its object.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/vip/address_table.h"
#include "tests/chaos/history.h"
#include "tests/support/network.h"

namespace pgkeel::chaos {

// Asks through each pgkeel, again and again, who the primary is.
class RouteWatch {
 public:
  // `conninfos`: one for each pgkeel. `host`: where it asks from.
  RouteWatch(const test::Network& network, std::string host, const std::vector<std::string>& conninfos);
  ~RouteWatch();

  // Answers of a primary to a question that was asked only after a later primary had answered through some pgkeel.
  [[nodiscard]] std::size_t moments_with_two() const;
  [[nodiscard]] std::size_t answers() const;

 private:
  void ask(const std::string& conninfo);

  const test::Network& network_;
  const std::string host_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;  // guards the answers
  History answers_;
  std::vector<std::thread> threads_;
};

// Looks which of these hosts have the virtual IP.
class VipWatch {
 public:
  VipWatch(const test::Network& network, const std::vector<std::string>& hosts, const std::string& address);
  ~VipWatch();

  // One had it before and after another one was seen with it.
  [[nodiscard]] std::size_t moments_with_two() const { return moments_with_two_; }
  // Looks at which nobody had it.
  [[nodiscard]] std::size_t looks_without_holder() const { return looks_without_holder_; }
  // When it was last seen at another host than before; before the first: the clock's beginning.
  [[nodiscard]] Instant moved_at() const;
  [[nodiscard]] std::string holder() const;  // who was last seen with it

 private:
  void look();

  IpAddress address_;
  std::map<std::string, AddressTable> tables_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> moments_with_two_{0};
  std::atomic<std::size_t> looks_without_holder_{0};
  mutable std::mutex mutex_;  // guards the two below
  std::string holder_;
  Instant moved_at_{};
  std::thread thread_;
};

}  // namespace pgkeel::chaos
