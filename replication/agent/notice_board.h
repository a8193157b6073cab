// What an agent did or found while no pgkeel listened, kept durably until one has heard it: that it stopped its server
// after fence_timeout, that a job was interrupted. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/agent_protocol.h"

namespace pgkeel {

class NoticeBoard {
 public:
  explicit NoticeBoard(std::string file);  // what is there already is read; a damaged file is begun anew

  void add(const std::string& text);
  [[nodiscard]] std::vector<AgentNotice> notices() const;

  // A pgkeel has written down all up to this one.
  void heard(std::uint64_t number);

 private:
  void store() const;

  const std::string file_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<AgentNotice> notices_;
  std::uint64_t next_number_ = 1;
};

}  // namespace pgkeel
