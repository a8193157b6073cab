// Many connections to one port that mean it ill, or are merely slow: each says something, then perhaps something more
// now and then, stays for as long as it is let, and comes again. They do so in a thread of their own, as long as this
// lives.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/peer.h"

namespace pgkeel::test {

class BadCompany {
 public:
  // `go_on`: what is said now and then; empty: nothing.
  BadCompany(std::uint16_t port, std::size_t connections, std::string begin, std::string go_on = {});
  ~BadCompany();
  BadCompany(const BadCompany&) = delete;
  BadCompany& operator=(const BadCompany&) = delete;

  // Who comes waits in the kernel's queue at least, and stays there for as long as nobody looks.
  [[nodiscard]] bool all_have_come() const { return come_ >= members_.size(); }
  [[nodiscard]] std::size_t times_refused() const { return refused_; }

 private:
  bool connect(Peer& member);
  void come_again();

  const std::uint16_t port_;
  const std::string begin_;
  const std::string go_on_;
  std::vector<Peer> members_;
  std::atomic<std::size_t> come_{0};
  std::atomic<std::size_t> refused_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace pgkeel::test
