#include "replication/peers/cancel_search.h"

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

const PeerCancel kCancel{"orders", 7, "secret"};

// The questions that are out, to be answered by hand.
struct Peers {
  struct Question {
    std::string address;
    PeerCancel cancel;
    std::function<void(bool)> answer;
  };
  std::vector<Question> questions;
  std::vector<bool> told;
  CancelSearch search{[this](const std::string& address, const PeerCancel& cancel, std::function<void(bool)> done) {
    questions.push_back({address, cancel, std::move(done)});
  }};

  void start(const std::vector<std::string>& addresses) {
    search.start(addresses, kCancel, [this](bool is_forwarded) { told.push_back(is_forwarded); });
  }
};

using Told = std::vector<bool>;

}  // namespace

TEST_CASE("all others are asked at once, and the first one that has it is enough") {
  Peers peers;
  peers.start({"a:1", "b:1", "c:1"});
  REQUIRE(peers.questions.size() == 3);
  CHECK(peers.questions[2].address == "c:1");
  CHECK(peers.questions[2].cancel == kCancel);
  peers.questions[0].answer(false);
  CHECK(peers.told.empty());
  peers.questions[1].answer(true);
  CHECK(peers.told == Told{true});
  CHECK(peers.search.under_way() == 1);
  peers.questions[2].answer(true);
  CHECK(peers.told == Told{true});
  CHECK(peers.search.under_way() == 0);
}

TEST_CASE("none has it: that is told when the last one has answered") {
  Peers peers;
  peers.start({"a:1", "b:1"});
  peers.questions[0].answer(false);
  CHECK(peers.told.empty());
  peers.questions[1].answer(false);
  CHECK(peers.told == Told{false});
}

TEST_CASE("nobody to ask, and too many searches: told at once, and nobody is asked") {
  Peers peers;
  peers.start({});
  CHECK(peers.told == Told{false});
  for (std::size_t i = 0; i < CancelSearch::kAtATime; ++i) peers.start({"a:1"});
  CHECK(peers.questions.size() == CancelSearch::kAtATime);
  peers.start({"a:1"});
  CHECK(peers.questions.size() == CancelSearch::kAtATime);
  CHECK(peers.told == Told{false, false});
  peers.questions[0].answer(false);
  peers.start({"a:1"});
  CHECK(peers.questions.size() == CancelSearch::kAtATime + 1);
}

TEST_CASE("answers that come when the search is gone are nobody's") {
  std::function<void(bool)> late;
  bool told = false;
  {
    CancelSearch search(
        [&](const std::string&, const PeerCancel&, std::function<void(bool)> done) { late = std::move(done); });
    search.start({"a:1"}, kCancel, [&](bool) { told = true; });
  }
  late(true);
  CHECK_FALSE(told);
}
