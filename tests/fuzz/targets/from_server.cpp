// What a server says, once in one piece and once in many: where messages end, what is read of them, and what they tell
// of a commit's wait must not depend on how the stream was cut.
#include <string>
#include <vector>

#include "proxy/wire/error_response.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/interrupted_wait.h"
#include "proxy/wire/messages.h"
#include "proxy/wire/scram_messages.h"
#include "tests/fuzz/targets/fuzz_input.h"

using namespace pgkeel;
using pgkeel::fuzz::require;

namespace {

struct Walk {
  std::string types;
  std::size_t passed = 0;
  bool violation = false;
  bool at_boundary = true;
  std::vector<bool> interrupted;  // of each notice that came to its end
};

void read_message(char type, std::span<std::byte> message) {
  require(message.size() >= kMessageHeaderBytes, "a message without a header");
  if (type != 'E' && type != 'N') {
    (void)authentication_code(message);
    (void)parse_parameter_status(message);
    if (const auto key = parse_backend_key_data(message))
      require(key->secret.size() <= kCancelSecretBytesMax, "secret of no size");
    if (const auto mechanisms = parse_sasl_mechanisms(message))
      require(mechanisms->size() <= message.size(), "more mechanisms than bytes");
    require(sasl_data(message).size() <= message.size(), "more data than bytes");
    return;
  }
  announce_crash_as_shutdown(message);
  const ErrorFields fields = parse_error_fields(message);
  require(fields.sqlstate != "57P02", "a crash that is not announced as a shutdown");
  (void)fields.ends_session();
}

// `cuts`: the sizes of the pieces, in turn; none: one piece.
Walk walk(std::string stream, std::string_view cuts) {
  Walk result;
  BoundaryTracker tracker(MessageSender::kServer);
  NoticeInParts notice;
  std::string kept;
  for (std::size_t turn = 0; !stream.empty() && !result.violation; ++turn) {
    std::size_t piece = stream.size();
    if (!cuts.empty()) {
      const auto cut = static_cast<std::uint8_t>(cuts[turn % cuts.size()]);
      piece = std::min<std::size_t>(stream.size(), cut < 128 ? cut + 1 : std::size_t{cut} * 50);
    }
    kept += stream.substr(0, piece);
    stream.erase(0, piece);
    if (notice.under_way()) {
      require(notice.add(as_bytes(kept)) <= kept.size(), "a notice takes more than there is");
      if (!notice.under_way()) result.interrupted.push_back(notice.tells_of_interrupted_wait());
    }
    const auto advance = tracker.advance(std::as_writable_bytes(std::span(kept)), [&](char type, auto message) {
      result.types += type;
      read_message(type, message);
      if (type != 'N') return true;
      if (message.size() <= read_uint32(message.subspan(1, 4)))
        notice.begin(message);
      else
        result.interrupted.push_back(tells_of_interrupted_wait(message));
      return true;
    });
    require(advance.passable <= kept.size(), "more is passable than there is");
    result.violation = advance.violation;
    result.passed += advance.passable;
    kept.erase(0, advance.passable);
    require(result.violation || kept.size() < kWholeErrorBytes, "more is kept back than a begun message");
  }
  result.at_boundary = tracker.at_boundary();
  return result;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string_view cuts = input.short_text();
  const std::string stream(input.all());
  const Walk in_one = walk(stream, {});
  const Walk in_pieces = walk(stream, cuts);
  require(in_one.types == in_pieces.types, "other messages in pieces");
  require(in_one.passed == in_pieces.passed, "another length in pieces");
  require(in_one.violation == in_pieces.violation, "another verdict in pieces");
  require(in_one.at_boundary == in_pieces.at_boundary, "another end in pieces");
  require(in_one.interrupted == in_pieces.interrupted, "another notice in pieces");
  return 0;
}
