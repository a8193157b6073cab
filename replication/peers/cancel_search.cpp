#include "replication/peers/cancel_search.h"

#include <utility>

namespace pgkeel {
namespace {

struct Search {
  std::size_t unanswered = 0;
  std::function<void(bool)> done;  // empty: it was called
};

}  // namespace

void CancelSearch::start(const std::vector<std::string>& addresses, const PeerCancel& cancel,
                         std::function<void(bool is_forwarded)> done) {
  if (addresses.empty() || *under_way_ >= kAtATime) return done(false);
  ++*under_way_;
  const auto search = std::make_shared<Search>(Search{addresses.size(), std::move(done)});
  for (const std::string& address : addresses) {
    ask_(address, cancel, [search, under_way = std::weak_ptr<std::size_t>(under_way_)](bool is_forwarded) {
      const auto count = under_way.lock();
      if (count == nullptr) return;
      --search->unanswered;
      if (search->unanswered == 0) --*count;
      if (!search->done || (!is_forwarded && search->unanswered > 0)) return;
      std::exchange(search->done, nullptr)(is_forwarded);
    });
  }
}

}  // namespace pgkeel
