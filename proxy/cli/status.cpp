#include "proxy/cli/status.h"

#include <chrono>
#include <iostream>
#include <thread>
#include <unistd.h>

#include "proxy/cli/admin_client.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/cli/status_text.h"
#include "proxy/cli/terminal.h"

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
  const Painter painter(wants_colours(STDOUT_FILENO));
  const auto look = [&]() -> Result<std::string> {
    const auto answer = ask_admin(*config, "/api/v1/clusters");
    if (!answer) return answer.error();
    if (!options.json) return status_text(*answer, painter);
    return options.watch ? status_json_line(*answer) : *answer;
  };
  auto text = look();
  if (!text) return tell(text.error());
  if (!options.watch) {
    std::cout << *text << std::flush;
    return kExitDone;
  }
  const bool on_screen = is_terminal(STDOUT_FILENO) && !options.json;
  // A pgkeel that is restarted meanwhile is watched on.
  while (std::cout) {
    if (on_screen) {
      std::cout << as_screen(text ? *text : "pgkeel: " + text.error().message + "\n", screen_size(STDOUT_FILENO))
                << std::flush;
    } else if (text) {
      std::cout << *text << (options.json ? "" : "\n") << std::flush;
    } else {
      tell(text.error());
    }
    std::this_thread::sleep_for(1s);
    text = look();
  }
  return kExitDone;
}

int run_decisions(const DecisionsOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  if (const auto wrong = complain_of_cluster(*config, options.cluster)) {
    tell(Error{*wrong});
    return kExitUsage;
  }
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
  const Painter painter(wants_colours(STDOUT_FILENO));
  std::uint64_t last_id = 0;
  bool has_answered = false;
  std::string told;
  while (true) {
    const std::uint64_t after = last_id;
    const std::string path = "/api/v1/events?after=" + std::to_string(after);
    const auto answer =
        options.follow ? ask_admin(*config, path + "&wait_ms=20000", kFollowLimit) : ask_admin(*config, path);
    if (!answer && !(options.follow && has_answered)) return tell(answer.error());
    if (!answer) {
      // A pgkeel that is restarted meanwhile is followed on.
      if (answer.error().message != told) tell(answer.error());
      told = answer.error().message;
      std::this_thread::sleep_for(1s);
      continue;
    }
    has_answered = true;
    told.clear();
    const auto text = options.json ? events_json_lines(*answer, last_id) : events_text(*answer, last_id, "", painter);
    if (!text) return tell(text.error());
    std::cout << *text << std::flush;
    const bool all_read = last_id == after;
    if (all_read && !options.follow) return kExitDone;
  }
}

}  // namespace pgkeel
