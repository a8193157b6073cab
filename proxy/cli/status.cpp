#include "proxy/cli/status.h"

#include <chrono>
#include <iostream>
#include <thread>

#include "proxy/cli/admin_client.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/cli/status_text.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFollowLimit = 30s;  // the server waits for an event for up to 20 s

int tell(const Error& error) {
  std::cerr << "pgkeel: " << error.message << "\n";
  return kExitRefused;
}

}  // namespace

int run_status(const StatusOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  while (true) {
    const auto answer = ask_admin(*config, "/api/v1/clusters");
    if (!answer) return tell(answer.error());
    const auto text = options.json ? Result<std::string>(*answer) : status_text(*answer);
    if (!text) return tell(text.error());
    if (options.watch) std::cout << "\033[H\033[2J";
    std::cout << *text << std::flush;
    if (!options.watch) return kExitDone;
    std::this_thread::sleep_for(1s);
  }
}

int run_decisions(const DecisionsOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  const auto answer = ask_admin(*config, "/api/v1/clusters/" + options.cluster + "/decisions");
  if (!answer) return tell(answer.error());
  const auto text = options.json ? decisions_json_lines(*answer) : decisions_text(*answer);
  if (!text) return tell(text.error());
  std::cout << *text << std::flush;
  return kExitDone;
}

int run_events(const EventsOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  std::uint64_t last_id = 0;
  while (true) {
    const std::uint64_t after = last_id;
    const std::string path = "/api/v1/events?after=" + std::to_string(after);
    const auto answer =
        options.follow ? ask_admin(*config, path + "&wait_ms=20000", kFollowLimit) : ask_admin(*config, path);
    if (!answer) return tell(answer.error());
    const auto text = options.json ? events_json_lines(*answer, last_id) : events_text(*answer, last_id);
    if (!text) return tell(text.error());
    std::cout << *text << std::flush;
    const bool all_read = last_id == after;
    if (all_read && !options.follow) return kExitDone;
  }
}

}  // namespace pgkeel
