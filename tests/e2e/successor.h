// The process that takes over from a pgkeel of a test, and what the admin endpoint says of either.
#pragma once

#include <sys/types.h>

#include <httplib.h>
#include <nlohmann/json.hpp>

#include "proxy/io/background_process.h"
#include "tests/support/pgkeel_process.h"
#include "tests/support/wait_until.h"

namespace pgkeel::test {

// The next process of the same configuration, as a child of the test: nothing is left behind when that ends.
class Successor {
 public:
  explicit Successor(const PgkeelProcess& pgkeel)
      : process_(BackgroundProcess::start({PGKEEL_BINARY, "serve", "--config", pgkeel.config_file(), "--take-over"},
                                          pgkeel.log_file())
                     .value()) {}
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] BackgroundProcess& process() { return process_; }

 private:
  BackgroundProcess process_;
};

inline nlohmann::json process_of(const PgkeelProcess& pgkeel) {
  httplib::Client client("127.0.0.1", pgkeel.admin_port());
  client.set_connection_timeout(1);
  const auto answer = client.Get("/api/v1/process");
  return answer && answer->status == 200 ? nlohmann::json::parse(answer->body, nullptr, false)
                                         : nlohmann::json::object();
}

inline bool wait_serves(const PgkeelProcess& pgkeel, pid_t pid) {
  return wait_until([&] { return process_of(pgkeel).value("pid", 0) == pid; });
}

inline bool wait_alone(const PgkeelProcess& pgkeel) {
  return wait_until([&] {
    const nlohmann::json process = process_of(pgkeel);
    return process.contains("former_processes") && process["former_processes"].empty();
  });
}

}  // namespace pgkeel::test
