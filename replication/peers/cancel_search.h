// Finds the pgkeel that has the session of a cancel request, by asking all others at once: keys are made by the
// servers, and say nothing of the pgkeel. Whoever is asked looks among its own sessions and asks nobody, so a request
// costs one question for each other pgkeel and reaches one server at most. Only so many are under way at a time; more
// are dropped, as PostgreSQL may drop one too. Loop's thread only; callbacks come once, now or later, and not any more
// when this is gone.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/time.h"
#include "replication/peers/peer_protocol.h"

namespace pgkeel {

class CancelSearch {
 public:
  static constexpr std::size_t kAtATime = 64;

  // Asks one pgkeel; PeerClient::send_cancel() with its address.
  using Ask = std::function<void(const std::string& address, const PeerCancel& cancel,
                                 std::function<void(bool is_forwarded)> done)>;
  explicit CancelSearch(Ask ask) : ask_(std::move(ask)) {}

  // `done`: when one has carried it to its server, or none has it.
  void start(const std::vector<std::string>& addresses, const PeerCancel& cancel,
             std::function<void(bool is_forwarded)> done);

  [[nodiscard]] std::size_t under_way() const { return *under_way_; }

 private:
  const Ask ask_;
  std::shared_ptr<std::size_t> under_way_ = std::make_shared<std::size_t>(0);
};

}  // namespace pgkeel
