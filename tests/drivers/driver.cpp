#include "tests/drivers/driver.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "proxy/io/child_process.h"

namespace pgkeel::test {
namespace {

constexpr int kToolchainIsMissing = 77;  // as CTest's SKIP_RETURN_CODE

std::string last_line_of(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

const char* key_of(ClientState state) {
  switch (state) {
    case ClientState::kIdle:
      return "idle";
    case ClientState::kInTransaction:
      return "in_transaction";
    case ClientState::kBusy:
      return "busy";
    case ClientState::kCopyOut:
      return "copy_out";
    case ClientState::kCopyIn:
      return "copy_in";
    case ClientState::kConnecting:
      return "connecting";
  }
  throw std::logic_error("no such state");
}

const char* title_of(ClientState state) {
  switch (state) {
    case ClientState::kIdle:
      return "idle";
    case ClientState::kInTransaction:
      return "in a transaction";
    case ClientState::kBusy:
      return "a query runs";
    case ClientState::kCopyOut:
      return "COPY out";
    case ClientState::kCopyIn:
      return "COPY in";
    case ClientState::kConnecting:
      return "connects, past `hold_timeout`";
  }
  throw std::logic_error("no such state");
}

Driver read_driver(const std::string& folder) {
  const std::string file = folder + "/expected.json";
  std::ifstream text(file);
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) throw std::runtime_error(file + " cannot be read");
  Driver driver;
  driver.folder = folder;
  driver.name = json.at("name");
  driver.cells = json.at("reports");
  driver.shows = json.at("shows");
  driver.notices_end_in_copy = json.value("notices_end_in_copy", true);
  if (json.contains("pool")) {
    driver.pool_name = json["pool"].at("name");
    driver.pool_failures_max = json["pool"].at("failures_max");
  }
  return driver;
}

void prepare(Driver& driver, const std::string& build_folder) {
  const std::string out = build_folder + "/" + std::filesystem::path(driver.folder).filename().string();
  std::filesystem::create_directories(out);
  ProgramCall call{.arguments = {driver.folder + "/prepare", out}, .limit = std::chrono::minutes(9)};
  call.working_directory = driver.folder;
  for (const char* name : {"NODE_EXTRA_CA_CERTS", "https_proxy", "http_proxy"}) {
    if (const char* value = std::getenv(name)) call.environment.push_back(std::string(name) + "=" + value);
  }
  const auto result = run_program(call);
  if (!result) throw std::runtime_error(driver.name + ": " + result.error().message);
  if (result->exit_status == kToolchainIsMissing) {
    driver.skipped_because = last_line_of(result->output);
    return;
  }
  if (result->exit_status != 0) {
    throw std::runtime_error(driver.name + ": prepare failed:\n" + result->output + result->error_output);
  }
  driver.program = out + "/run";
}

std::string report_of(const nlohmann::json& answer) {
  if (answer.value("ok", false)) return "ok";
  const std::string state = answer.value("sqlstate", "");
  const std::string error_class = answer.value("class", "");
  return (state.empty() ? "none" : state) + (error_class.empty() ? "" : " " + error_class);
}

}  // namespace pgkeel::test
