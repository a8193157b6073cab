// The directory of a diverged server while it is opened: a working copy that goes again, or the directory itself; and
// nobody else opens it meanwhile. Blocking; one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "proxy/base/result.h"

namespace pgkeel {

class DivergedCopy {
 public:
  // `server`: its data directory is the kept one. `quarantine_folder`: of the entry. `target`: where there may be room
  // too.
  static Result<std::unique_ptr<DivergedCopy>> make(const LocalServerConfig& server,
                                                    const std::string& quarantine_folder, const std::string& target,
                                                    const std::function<void(const std::string&)>& progress);
  // No copy.
  static Result<std::unique_ptr<DivergedCopy>> in_place(const LocalServerConfig& server,
                                                        const std::string& quarantine_folder);
  ~DivergedCopy();
  DivergedCopy(const DivergedCopy&) = delete;
  DivergedCopy& operator=(const DivergedCopy&) = delete;

  // The programs and the user, and the directory to open.
  [[nodiscard]] const LocalServerConfig& server() const { return server_; }

 private:
  explicit DivergedCopy(LocalServerConfig server) : server_(std::move(server)) {}
  Result<void> lock(const std::string& quarantine_folder);

  LocalServerConfig server_;
  std::string working_copy_;  // empty: none
  int lock_ = -1;
};

// The working copy in this quarantine folder, where somebody left it who was killed, goes.
void remove_left_copy(const std::string& quarantine_folder);

// Whether somebody has what is in this quarantine folder open.
bool is_in_use(const std::string& quarantine_folder);

}  // namespace pgkeel
