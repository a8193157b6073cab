// The process that takes over from a pgkeel of a test, and what the admin endpoint says of either.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>

#include "proxy/io/background_process.h"
#include "tests/support/pgkeel_process.h"

namespace pgkeel::test {

// The next process of the same configuration, as a child of the test: nothing is left behind when that ends.
class Successor {
 public:
  explicit Successor(const PgkeelProcess& pgkeel);
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] BackgroundProcess& process() { return process_; }

 private:
  BackgroundProcess process_;
};

// GET /api/v1/process; an empty object where nobody answers.
nlohmann::json process_of(const PgkeelProcess& pgkeel);

bool wait_serves(const PgkeelProcess& pgkeel, pid_t pid);
bool wait_alone(const PgkeelProcess& pgkeel);

}  // namespace pgkeel::test
