#include "tests/support/successor.h"

#include <httplib.h>

#include "tests/support/wait_until.h"

namespace pgkeel::test {

Successor::Successor(const PgkeelProcess& pgkeel)
    : process_(BackgroundProcess::start({PGKEEL_BINARY, "serve", "--config", pgkeel.config_file(), "--take-over"},
                                        pgkeel.log_file())
                   .value()) {}

nlohmann::json process_of(const PgkeelProcess& pgkeel) {
  httplib::Client client("127.0.0.1", pgkeel.admin_port());
  client.set_connection_timeout(1);
  const auto answer = client.Get("/api/v1/process");
  return answer && answer->status == 200 ? nlohmann::json::parse(answer->body, nullptr, false)
                                         : nlohmann::json::object();
}

bool wait_serves(const PgkeelProcess& pgkeel, pid_t pid) {
  return wait_until([&] { return process_of(pgkeel).value("pid", 0) == pid; });
}

bool wait_alone(const PgkeelProcess& pgkeel) {
  return wait_until([&] {
    const nlohmann::json process = process_of(pgkeel);
    return process.contains("former_processes") && process["former_processes"].empty();
  });
}

}  // namespace pgkeel::test
