// Random and damaged bytes through everything in proxy/wire that reads them.
#include <string>

#include "proxy/wire/error_response.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/messages.h"
#include "proxy/wire/startup.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace pgkeel::wire_test;

namespace {

std::string some_server_message(Random& random) {
  switch (random.below(8)) {
    case 0:
      return report('E', "FATAL", "57P02", random.bytes(random.below(50)));
    case 1:
      return report('N', "WARNING", "57P02", "crash");
    case 2:
      return parameter_status("in_hot_standby", "on");
    case 3:
      return backend_key_data(1, random.bytes(random.below(300)));
    case 4:
      return authentication(static_cast<std::uint32_t>(random.below(14)), random.bytes(random.below(40)));
    case 5:
      return ready_for_query('I');
    default:
      return message('D', random.bytes(random.length()));
  }
}

}  // namespace

TEST_CASE("startup packets") {
  for_seeds(20'000, [](std::uint64_t seed) {
    Random random(seed);
    std::string packet;
    switch (random.below(5)) {
      case 0:
        packet = startup_message(static_cast<std::uint16_t>(random.below(4)), random.bytes(random.below(30)));
        break;
      case 1:
        packet = cancel_request(1, random.bytes(random.below(300)));
        break;
      case 2:
        packet = ssl_request();
        break;
      default:
        packet = random.bytes(4 + random.below(40));
        break;
    }
    random.damage(packet);
    if (packet.size() >= 4) (void)startup_packet_size(as_bytes(packet.substr(0, 4)));
    const auto parsed = parse_startup(as_bytes(packet));
    if (!parsed) return;
    if (const auto* cancel = std::get_if<CancelRequest>(&*parsed)) {
      REQUIRE(cancel->key.secret.size() <= kCancelSecretBytesMax);
    }
  });
}

TEST_CASE("messages of a server") {
  for_seeds(20'000, [](std::uint64_t seed) {
    Random random(seed);
    std::string text = some_server_message(random);
    if (random.one_in(2)) random.damage(text);
    const std::size_t size = text.size();
    (void)authentication_code(as_bytes(text));
    (void)parse_parameter_status(as_bytes(text));
    (void)parse_backend_key_data(as_bytes(text));
    (void)parse_error_fields(as_bytes(text)).ends_session();
    announce_crash_as_shutdown(std::as_writable_bytes(std::span(text)));
    REQUIRE(text.size() == size);
    REQUIRE(parse_error_fields(as_bytes(text)).sqlstate != "57P02");
  });
}

TEST_CASE("a stream in random pieces is walked as it is in one") {
  for_seeds(2'000, [](std::uint64_t seed) {
    Random random(seed);
    std::string stream;
    for (std::size_t count = random.below(20); count > 0; --count) stream += some_server_message(random);
    const bool damaged = random.one_in(3);
    if (damaged) random.damage(stream);

    BoundaryTracker in_one(MessageSender::kServer);
    std::string types_in_one;
    std::string whole = stream;
    const auto all = in_one.advance(std::as_writable_bytes(std::span(whole)), [&](char type, std::span<std::byte>) {
      types_in_one += type;
      return true;
    });

    BoundaryTracker in_pieces(MessageSender::kServer);
    std::string types_in_pieces;
    std::string kept;
    std::size_t passed = 0;
    bool violation = false;
    while (!stream.empty() && !violation) {
      const std::size_t piece = std::min(stream.size(), 1 + random.length());
      kept += stream.substr(0, piece);
      stream.erase(0, piece);
      const auto advance =
          in_pieces.advance(std::as_writable_bytes(std::span(kept)), [&](char type, std::span<std::byte>) {
            types_in_pieces += type;
            return true;
          });
      violation = advance.violation;
      passed += advance.passable;
      kept.erase(0, advance.passable);
      if (!violation) REQUIRE(kept.size() < kWholeErrorBytes);
    }
    REQUIRE(violation == all.violation);
    REQUIRE(types_in_pieces == types_in_one);
    REQUIRE(passed == all.passable);
    REQUIRE(in_pieces.at_boundary() == in_one.at_boundary());
    if (!damaged) REQUIRE(passed == whole.size());
  });
}
