#include "proxy/app/replication_lag.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

WalSender sender_of(const std::string& standby, Lsn position, const std::string& state = "streaming") {
  WalSender sender;
  sender.application_name = standby;
  sender.state = state;
  sender.written = sender.flushed = sender.replayed = position;
  return sender;
}

NodeFacts primary_with(const WalSender& sender) {
  NodeFacts facts;
  facts.wal_position = Lsn{1000};
  facts.wal_senders = {sender_of("c", Lsn{1}), sender};
  return facts;
}

}  // namespace

TEST_CASE("a standby's lag is that of its own walsender") {
  WalSender sender = sender_of("b", Lsn{900});
  sender.flushed = Lsn{800};
  sender.replayed = Lsn{700};
  sender.write_lag = 1ms;
  sender.flush_lag = 2ms;
  const auto lag = replication_lag(primary_with(sender), "b");
  REQUIRE(lag);
  CHECK(lag->write_bytes == 100);
  CHECK(lag->flush_bytes == 200);
  CHECK(lag->replay_bytes == 300);
  CHECK(lag->write == 1ms);
  CHECK(lag->flush == 2ms);
  CHECK_FALSE(lag->replay);
}

TEST_CASE("a standby that seems to be ahead is not behind") {
  const auto lag = replication_lag(primary_with(sender_of("b", Lsn{1001})), "b");
  REQUIRE(lag);
  CHECK(lag->write_bytes == 0);
  CHECK(lag->replay_bytes == 0);
}

TEST_CASE("nothing is known of a standby that does not stream from the primary") {
  CHECK_FALSE(replication_lag(primary_with(sender_of("b", Lsn{900}, "catchup")), "b"));
  CHECK_FALSE(replication_lag(primary_with(sender_of("d", Lsn{900})), "b"));
}
