// What a client says, in pieces, and answers of a server in between: what would become of the transaction, and whether
// a COMMIT is on its way. In doubt the outcome must be unknown.
#include <string>

#include "proxy/wire/commit_watch.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/scram_messages.h"
#include "proxy/wire/transaction_tracker.h"
#include "tests/fuzz/targets/fuzz_input.h"

using namespace pgkeel;
using pgkeel::fuzz::require;

namespace {

class Exchange {
 public:
  void client_sends(std::string_view bytes) {
    kept_ += bytes;
    const auto advance = tracker_.advance(std::as_writable_bytes(std::span(kept_)), [&](char type, auto message) {
      transaction_.client_sent(type);
      commit_.client_sent(type, message);
      if (const auto response = parse_sasl_initial_response(message))
        require(response->mechanism.size() < message.size(), "a mechanism longer than its message");
      (void)sasl_response(message);
      // Of these a transaction's end may be the effect, whatever the server said before.
      if (std::string_view("dcfpX").find(type) == std::string_view::npos) unanswered_ = true;
      return true;
    });
    require(advance.passable <= kept_.size(), "more is passable than there is");
    violation_ = advance.violation;
    kept_.erase(0, advance.passable);
    require(violation_ || kept_.size() < kWholeMessageBytes, "more is kept back than a begun message");
    check();
  }

  void server_says(char type, char status) {
    transaction_.server_sent(type, status);
    if (type == 'Z') unanswered_ = false;
    if (type == 'Z' && transaction_.outcome() != TransactionOutcome::kUnknown) {
      commit_.answered();
      require(!commit_.in_flight(), "a commit is in flight that was answered");
    }
    check();
  }

  [[nodiscard]] bool violation() const { return violation_; }

 private:
  void check() const {
    const TransactionOutcome outcome = transaction_.outcome();
    require(!unanswered_ || outcome == TransactionOutcome::kUnknown, "certain of what is not answered yet");
    require(!describe(outcome).empty(), "an outcome without words");
  }

  BoundaryTracker tracker_{MessageSender::kClient};
  TransactionTracker transaction_;
  CommitWatch commit_;
  std::string kept_;
  bool unanswered_ = true;
  bool violation_ = false;
};

}  // namespace

// Steps: 0 to 127, so many bytes of the client; 128 to 191, a longer piece, its length in two more bytes; above, one
// message of the server: its type and what its body begins with.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Exchange exchange;
  while (!input.empty() && !exchange.violation()) {
    const std::uint8_t step = input.byte();
    if (step >= 192) {
      const char type = static_cast<char>(input.byte());
      exchange.server_says(type, static_cast<char>(input.byte()));
    } else {
      exchange.client_sends(step < 128 ? input.bytes(step) : input.text());
    }
  }
  return 0;
}
