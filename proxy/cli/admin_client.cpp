#include "proxy/cli/admin_client.h"

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <httplib.h>

#include "config/values.h"
#include "proxy/admin/admin_token.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/io/https_client.h"
#include "proxy/io/os_user.h"

namespace pgkeel {
namespace {

constexpr time_t kConnectSeconds = 2;
constexpr std::size_t kAnswerBytesMax = std::size_t{1} << 26;

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

// Who is behind sudo, where it was used.
std::string operator_name() {
  if (const char* name = std::getenv("SUDO_USER"); name != nullptr && *name != '\0') return name;
  const auto user = find_os_user("");
  return user ? user->name : std::string();
}

// What is asked. `json` empty: a GET.
struct Question {
  const std::string& path;
  std::string json = {};
  std::string token = {};
  Duration limit{};
};

Result<HttpsAnswer> ask_plainly(const HostPort& address, const Question& question) {
  httplib::Client client(address.host, address.port);
  client.set_connection_timeout(kConnectSeconds);
  client.set_read_timeout(question.limit);
  const Instant asked_at = monotonic_now();
  const httplib::Result answer =
      question.json.empty()
          ? client.Get(question.path)
          : client.Post(question.path,
                        {{"Authorization", "Bearer " + question.token}, {kOperatorHeader, operator_name()}},
                        question.json, "application/json");
  const std::string where = format_host_port(address);
  if (!answer && answer.error() == httplib::Error::Read) {
    const bool silent = monotonic_now() - asked_at >= question.limit;
    return Error{
        where + " ([admin] listen) listens but " +
        (silent ? "does not answer within " + format_duration(question.limit) : "closed the connection unanswered") +
        ": what listens there is stopped, overloaded, expects TLS ([admin] tls), or is no pgkeel; clients may "
        "well be served nevertheless"};
  }
  if (!answer) {
    return Error{"no pgkeel answers at " + where + " ([admin] listen): " + httplib::to_string(answer.error()) +
                 "; start `pgkeel serve`, or name its configuration with --config"};
  }
  return HttpsAnswer{answer->status, answer->body};
}

// The first certificate of a file, which is whom it stands for; those behind it lead to its authority.
std::string first_certificate(const std::string& pem) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const auto end = pem.find(kEnd);
  return end == std::string::npos ? pem : pem.substr(0, end + kEnd.size()) + "\n";
}

// Nobody else may have the token: the answer must come from whom the configuration names.
Result<HttpsAnswer> ask_encrypted(const AdminTlsConfig& tls, HostPort address, const Question& question) {
  const std::string& file = tls.ca.empty() ? tls.cert : tls.ca;
  const auto trusted = read_file(file);
  if (!trusted) return Error{"[admin] tls: " + trusted.error().message};
  const bool is_anywhere = is_any_address(address.host);
  if (is_anywhere) address.host = address.host == "::" ? "::1" : "127.0.0.1";
  HttpsPeer peer;
  peer.url = "https://" + format_host_port(address);
  peer.authority_pem = tls.ca.empty() ? first_certificate(*trusted) : *trusted;
  peer.is_agent = false;
  peer.name_must_match = !tls.ca.empty() && !is_anywhere;
  peer.bearer_token = question.token;
  if (!question.json.empty()) peer.headers.push_back(std::string(kOperatorHeader) + ": " + operator_name());
  HttpsClient client(std::move(peer));
  auto answer = question.json.empty() ? client.get(question.path, question.limit, kAnswerBytesMax)
                                      : client.post(question.path, question.json, question.limit);
  if (answer) return answer;
  return Error{"no pgkeel answers at " + answer.error().message + "; start `pgkeel serve`, or name its configuration " +
               "with --config; who may answer says " + file +
               " ([admin] tls). Where that was just changed, SIGHUP has pgkeel take it over"};
}

Result<HttpsAnswer> exchange(const Config& config, const Question& question) {
  const auto address = admin_address(config);
  if (!address) return address.error();
  if (config.admin.tls.cert.empty()) return ask_plainly(*address, question);
  return ask_encrypted(config.admin.tls, *address, question);
}

Error unexpected(const HttpsAnswer& answer) {
  std::string body = answer.body;
  while (!body.empty() && body.back() == '\n') body.pop_back();
  return Error{"pgkeel answers " + std::to_string(answer.status) + ": " + body};
}

}  // namespace

Result<std::string> ask_admin(const Config& config, const std::string& path, Duration limit) {
  const auto answer = exchange(config, {.path = path, .limit = limit});
  if (!answer) return answer.error();
  if (answer->status != 200) return unexpected(*answer);
  return answer->body;
}

Result<std::string> post_admin(const Config& config, const std::string& path, const std::string& body,
                               const std::string& token, Duration limit) {
  const auto answer = exchange(config, {.path = path, .json = body, .token = token, .limit = limit});
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
