#include "proxy/wire/transaction_tracker.h"

#include <string_view>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

using Outcome = TransactionOutcome;

// Plays a conversation: "Q" is the client's, "<C" the server's; ReadyForQuery is <I, <T or <E, an error <!.
Outcome after(std::string_view conversation) {
  TransactionTracker tracker;
  tracker.server_sent('Z', 'I');
  for (std::size_t at = 0; at < conversation.size(); ++at) {
    if (conversation[at] == ' ') continue;
    if (conversation[at] != '<') {
      tracker.client_sent(conversation[at]);
      continue;
    }
    const char said = conversation[++at];
    if (said == 'I' || said == 'T' || said == 'E')
      tracker.server_sent('Z', said);
    else if (said == '!')
      tracker.server_sent('E', 'S');
    else
      tracker.server_sent(said, '\0');
  }
  return tracker.outcome();
}

}  // namespace

TEST_CASE("idle with nothing sent since: no transaction was open") {
  CHECK(after("") == Outcome::kNoneOpen);
  CHECK(after("Q<C<I") == Outcome::kNoneOpen);
  CHECK(after("PBES<C<I") == Outcome::kNoneOpen);
  CHECK(after("F<V<I") == Outcome::kNoneOpen);
}

TEST_CASE("in a transaction with nothing sent since: it was rolled back") {
  CHECK(after("Q<C<T") == Outcome::kRolledBack);
  CHECK(after("Q<C<T Q<!<E") == Outcome::kRolledBack);
}

TEST_CASE("anything on its way: the outcome is unknown") {
  CHECK(after("Q") == Outcome::kUnknown);
  CHECK(after("Q<C") == Outcome::kUnknown);
  CHECK(after("Q<C<T Q") == Outcome::kUnknown);
  CHECK(after("P") == Outcome::kUnknown);
  CHECK(after("PBE") == Outcome::kUnknown);
  CHECK(after("PBES<C") == Outcome::kUnknown);
  CHECK(after("PBH<1") == Outcome::kUnknown);
}

TEST_CASE("in a pipeline every ReadyForQuery is awaited, and what follows the last Sync counts") {
  CHECK(after("PBES PBES <C<I") == Outcome::kUnknown);
  CHECK(after("PBES PBES <C<I <C<I") == Outcome::kNoneOpen);
  CHECK(after("PBES PBE <C<I") == Outcome::kUnknown);
  CHECK(after("QQ<C<I") == Outcome::kUnknown);
}

TEST_CASE("before the first ReadyForQuery nothing is certain") {
  TransactionTracker tracker;
  CHECK(tracker.outcome() == Outcome::kUnknown);
  tracker.client_sent('p');
  tracker.client_sent('Q');  // sent ahead of the login's end
  tracker.server_sent('Z', 'I');
  CHECK(tracker.outcome() == Outcome::kUnknown);
  tracker.server_sent('Z', 'I');
  CHECK(tracker.outcome() == Outcome::kNoneOpen);
}

TEST_CASE("COPY FROM STDIN by simple query") {
  CHECK(after("Q<G ddd") == Outcome::kUnknown);
  CHECK(after("Q<G dddc") == Outcome::kUnknown);
  CHECK(after("Q<G dddc<C<I") == Outcome::kNoneOpen);
  CHECK(after("Q<G ddf<!<T") == Outcome::kRolledBack);
  CHECK(after("Q<G d<!<I dddc") == Outcome::kNoneOpen);  // the server ignores the rest
}

TEST_CASE("COPY FROM STDIN by extended query: the Sync behind Execute is skipped by the server") {
  CHECK(after("PBES<G") == Outcome::kUnknown);
  CHECK(after("PBES<G ddc") == Outcome::kUnknown);
  CHECK(after("PBES<G ddcS<C") == Outcome::kUnknown);
  CHECK(after("PBES<G ddcS<C<I") == Outcome::kNoneOpen);
  CHECK(after("PBES<G ddcS<C<I Q") == Outcome::kUnknown);
  CHECK(after("PBES<G ddcS<C<I Q<C<I") == Outcome::kNoneOpen);
}

TEST_CASE("where it can't be known which Sync the server skipped, the outcome stays unknown") {
  CHECK(after("PBES<G dcS<!<I") == Outcome::kUnknown);
  CHECK(after("PBES<G dSc<C") == Outcome::kUnknown);  // no Sync has ended the transaction of the COPY
  CHECK(after("PBES<G dScS<C<I") == Outcome::kNoneOpen);
  CHECK(after("PBES dcS<G<C<I") == Outcome::kUnknown);  // all sent at once
  CHECK(after("PBES<G dcS PBEdcS <C<I <G<C") == Outcome::kUnknown);
}

TEST_CASE("an answer too many does not make the next question answered") {
  CHECK(after("<I<G S<C") == Outcome::kUnknown);  // a COPY that nobody asked for
  CHECK(after("<I<I Q") == Outcome::kUnknown);
  CHECK(after("Q<x") == Outcome::kUnknown);
}

TEST_CASE("each outcome has a text of its own") {
  CHECK(describe(Outcome::kNoneOpen).find("No transaction was open") != std::string_view::npos);
  CHECK(describe(Outcome::kRolledBack).find("rolled back") != std::string_view::npos);
  CHECK(describe(Outcome::kUnknown).find("unknown") != std::string_view::npos);
}

TEST_CASE("what the server itself has put in doubt stays so") {
  TransactionTracker tracker;
  tracker.server_sent('Z', 'I');
  tracker.commit_is_in_doubt();
  CHECK(tracker.outcome() == Outcome::kUnknown);
  tracker.client_sent('Q');
  tracker.server_sent('Z', 'I');
  CHECK(tracker.outcome() == Outcome::kUnknown);
}
