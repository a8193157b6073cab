// A driver under test: its folder below tests/drivers, what its README row is expected to say, and how its program is
// made. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace pgkeel::test {

// What an application is doing when the route goes. In the order of the table's columns.
enum class ClientState { kIdle, kInTransaction, kBusy, kCopyOut, kCopyIn, kConnecting };
inline constexpr ClientState kClientStates[] = {ClientState::kIdle,   ClientState::kInTransaction,
                                                ClientState::kBusy,   ClientState::kCopyOut,
                                                ClientState::kCopyIn, ClientState::kConnecting};
const char* key_of(ClientState state);    // in expected.json
const char* title_of(ClientState state);  // in the table

struct Driver {
  std::string folder;
  std::string name;      // for people
  nlohmann::json cells;  // per state that it can be in: the reports that are right, as report_of() writes them
  [[nodiscard]] bool can_be(ClientState state) const { return cells.contains(key_of(state)); }
  std::string shows;  // what is left of pgkeel's error in what the application can read: "message, DETAIL, HINT"
  bool notices_end_in_copy = true;  // false: after the error of a COPY it may still take the session for usable
  // Of a pool: how many of its uses may fail after the route changed. A pool that tests what it lends has none; one
  // that does not may lend each of its connections once more.
  std::string pool_name;
  int pool_failures_max = 0;

  // Of the program, once it was prepared.
  std::string program;
  std::string version;
  std::string skipped_because;  // not empty: its toolchain is missing
};

// Reads FOLDER/expected.json.
Driver read_driver(const std::string& folder);

// Runs FOLDER/prepare, which makes an executable `run` below `build_folder`. Exit status 77 of it: its toolchain is
// missing, and its last line of output says what. Throws where it fails otherwise.
void prepare(Driver& driver, const std::string& build_folder);

// "57P01 AdminShutdown": SQLSTATE and class of what the application saw; "none" where the driver gives no SQLSTATE.
std::string report_of(const nlohmann::json& answer);

}  // namespace pgkeel::test
