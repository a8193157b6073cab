#include "replication/agent/quarantine_age.h"

#include <cstdint>

#include <nlohmann/json.hpp>

#include "proxy/base/log.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "replication/agent/quarantine.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kFileBytesMax = 65536;

std::int64_t in_seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

std::optional<Duration> seconds_in(const Json& json, const char* name) {
  constexpr std::int64_t kSecondsMax = std::int64_t{200} * 366 * 86400;  // what a Duration holds, and no age comes to
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() > kSecondsMax)
    return std::nullopt;
  return std::chrono::seconds(found->get<std::int64_t>());
}

std::optional<SeenAge> read_age(const std::string& file) {
  const auto text = read_file(file, kFileBytesMax);
  const auto json = text ? Json::parse(*text, nullptr, false) : Json();
  if (!json.is_object()) return std::nullopt;
  const auto boot = json.find("boot");
  const auto at = seconds_in(json, "seconds_since_boot");
  const auto age = seconds_in(json, "seconds");
  if (boot == json.end() || !boot->is_string() || !at || !age) return std::nullopt;
  return SeenAge{boot->get<std::string>(), *at, *age};
}

}  // namespace

SeenAge look_at_age(const std::optional<SeenAge>& before, const std::string& boot, Duration since_boot) {
  if (!before) return {boot, since_boot, {}};
  const bool passed = before->boot == boot && since_boot > before->at;
  return {boot, since_boot, before->age + (passed ? since_boot - before->at : Duration::zero())};
}

Result<std::string> this_boot() {
  const auto text = read_file("/proc/sys/kernel/random/boot_id", kFileBytesMax);
  if (!text) return text.error();
  return text->substr(0, text->find('\n'));
}

Duration note_age(const std::string& entry_folder) {
  const auto file = entry_folder + "/" + kQuarantineAgeFile;
  const auto before = read_age(file);
  const auto boot = this_boot();
  if (!boot) return before ? before->age : Duration::zero();
  const auto seen = look_at_age(before, *boot, since_boot());
  const Json json = {
      {"boot", seen.boot}, {"seconds_since_boot", in_seconds(seen.at)}, {"seconds", in_seconds(seen.age)}};
  if (const auto noted = write_durably(file, json.dump() + "\n"); !noted)
    log(LogLevel::kWarning, "quarantine", "how old an entry is cannot be noted: " + noted.error().message);
  return seen.age;
}

}  // namespace pgkeel
