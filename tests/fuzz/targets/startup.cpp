// A packet that opens a connection, as a client may send it.
#include "proxy/wire/startup.h"

#include <string>

#include "tests/fuzz/targets/fuzz_input.h"

using namespace pgkeel;
using pgkeel::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string packet(input.all());
  (void)begins_like_tls(as_bytes(packet));
  std::size_t announced = 0;
  if (packet.size() >= 4) {
    if (const auto told = startup_packet_size(as_bytes(packet).first(4))) announced = *told;
    require(announced == 0 || (announced >= 8 && announced <= kStartupPacketBytesMax), "a packet of no possible size");
  }
  const auto parsed = parse_startup(as_bytes(packet));
  if (!parsed) return 0;
  if (const auto* cancel = std::get_if<CancelRequest>(&*parsed)) {
    require(!cancel->key.secret.empty() && cancel->key.secret.size() <= kCancelSecretBytesMax, "secret of no size");
    require(packet.ends_with(cancel->key.secret), "a secret that the packet does not end with");
  }
  if (!std::holds_alternative<StartupMessage>(*parsed)) return 0;
  for (const char* name : {"user", "database", "replication", "application_name", ""}) {
    const std::string value = startup_parameter(as_bytes(packet), name);
    require(value.find('\0') == std::string::npos, "a value with a zero in it");
    require(value.empty() || packet.find(value, 8) != std::string::npos, "a value from nowhere");
  }
  return 0;
}
