#include "proxy/cli/restart.h"

#include <chrono>
#include <iostream>
#include <thread>

#include <nlohmann/json.hpp>

#include "proxy/admin/token_file.h"
#include "proxy/base/lenient_json.h"
#include "proxy/cli/admin_client.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr Duration kAnswerLimit = 5s;
constexpr Duration kPatience = 90s;  // longer than the old process has for the new one
constexpr auto kAskProcessPause = 100ms;

struct Process {
  std::int64_t pid = 0;
  std::string version;
  std::uint64_t handovers_failed = 0;
  std::string failure;
  std::uint64_t left_behind = 0;
};

Result<Process> ask_process(const Config& config) {
  const auto answer = ask_admin(config, "/api/v1/process");
  if (!answer) return answer.error();
  const Json json = Json::parse(*answer, nullptr, false);
  Process process;
  process.pid = lenient_json::whole_of<std::int64_t>(json, "pid").value_or(0);
  process.version = lenient_json::text_of(json, "version");
  process.handovers_failed = lenient_json::whole_of<std::uint64_t>(json, "handovers_failed").value_or(0);
  process.failure = lenient_json::text_of(json, "last_handover_failure");
  for (const Json& former : lenient_json::member(json, "former_processes"))
    process.left_behind += lenient_json::whole_of<std::uint64_t>(former, "sessions").value_or(0);
  if (process.pid == 0) return Error{"the answer is not what this pgkeel expects"};
  return process;
}

int watch(const Config& config, const Process& before) {
  const Instant since = monotonic_now();
  while (monotonic_now() - since < kPatience) {
    std::this_thread::sleep_for(kAskProcessPause);
    const auto now = ask_process(config);
    if (!now) continue;  // between the two processes nobody answers for a moment
    if (now->pid != before.pid) {
      std::cout << "pgkeel " << now->version << " serves as process " << now->pid << "; process " << before.pid
                << " ends when the " << now->left_behind << " sessions that are left there have, see `pgkeel status`\n";
      return kExitDone;
    }
    if (now->handovers_failed != before.handovers_failed)
      return fail(now->failure + "; process " + std::to_string(before.pid) + " goes on, and nothing has changed");
  }
  return fail("nobody has taken over within " + format_duration(kPatience) + "; see `pgkeel events` and the log");
}

}  // namespace

int run_restart(const RestartOptions& options) {
  // What the new process would refuse is told here.
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  const auto token = read_token(config->admin.token_file);
  if (!token) return fail(token.error().message);
  const auto before = ask_process(*config);
  if (!before) return fail(before.error().message);
  const auto answer = post_admin(*config, "/api/v1/restart", "{}", *token, kAnswerLimit);
  if (!answer) return fail(answer.error().message);
  const Json json = Json::parse(*answer, nullptr, false);
  if (const auto reason = lenient_json::text_of(json, "reason"); !reason.empty())
    return fail("the restart is refused: " + reason);
  return watch(*config, *before);
}

}  // namespace pgkeel
