#include "proxy/cli/admin_client.h"

#include <charconv>

#include <httplib.h>

#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

constexpr time_t kConnectSeconds = 2;

// Where the endpoint listens: as configured, or, with port 0, as the running pgkeel wrote it down.
Result<HostPort> admin_address(const Config& config) {
  if (config.admin.listen.port != 0) return config.admin.listen;
  const auto text = read_file(config.state_directory + "/admin.address");
  if (!text) return Error{"no pgkeel is running with this configuration: " + text.error().message};
  const auto colon = text->rfind(':');
  HostPort address = config.admin.listen;
  const char* begin = text->data() + (colon == std::string::npos ? 0 : colon + 1);
  if (std::from_chars(begin, text->data() + text->size(), address.port).ec != std::errc{}) {
    return Error{config.state_directory + "/admin.address is damaged; restart pgkeel"};
  }
  return address;
}

template <class Send>
Result<httplib::Response> exchange(const Config& config, Duration limit, Send send) {
  const auto address = admin_address(config);
  if (!address) return address.error();
  httplib::Client client(address->host, address->port);
  client.set_connection_timeout(kConnectSeconds);
  client.set_read_timeout(limit);
  const Instant asked_at = monotonic_now();
  const httplib::Result answer = send(client);
  const std::string where = format_host_port(*address);
  if (!answer && answer.error() == httplib::Error::Read) {
    const bool silent = monotonic_now() - asked_at >= limit;
    return Error{where + " ([admin] listen) listens but " +
                 (silent ? "does not answer within " + format_duration(limit) : "closed the connection unanswered") +
                 ": what listens there is stopped, overloaded, or no pgkeel; clients may well be served nevertheless"};
  }
  if (!answer) {
    return Error{"no pgkeel answers at " + where + " ([admin] listen): " + httplib::to_string(answer.error()) +
                 "; start `pgkeel serve`, or name its configuration with --config"};
  }
  return *answer;
}

Error unexpected(const httplib::Response& answer) {
  std::string body = answer.body;
  while (!body.empty() && body.back() == '\n') body.pop_back();
  return Error{"pgkeel answers " + std::to_string(answer.status) + ": " + body};
}

}  // namespace

Result<std::string> ask_admin(const Config& config, const std::string& path, Duration limit) {
  const auto answer = exchange(config, limit, [&](httplib::Client& client) { return client.Get(path); });
  if (!answer) return answer.error();
  if (answer->status != 200) return unexpected(*answer);
  return answer->body;
}

Result<std::string> post_admin(const Config& config, const std::string& path, const std::string& body,
                               const std::string& token, Duration limit) {
  const auto answer = exchange(config, limit, [&](httplib::Client& client) {
    return client.Post(path, {{"Authorization", "Bearer " + token}}, body, "application/json");
  });
  if (!answer) return answer.error();
  const bool expected = answer->status == 200 || answer->status == 202 || answer->status == 409;
  if (answer->status == 401)
    return Error{"the token in " + config.admin.token_file + " is not the one of the pgkeel at " +
                 format_host_port(config.admin.listen) +
                 ": use the configuration that it runs with, or restart it where the file was changed since"};
  if (!expected) return unexpected(*answer);
  return answer->body;
}

}  // namespace pgkeel
