#include "health/server_access.h"

#include <arpa/inet.h>
#include <fstream>
#include <utility>

#include "proxy/base/log.h"

namespace pgkeel {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) log(LogLevel::kWarning, "monitor", "cannot read the password file " + path);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

ServerAccess::ServerAccess(Loop& loop, HostPort server, DatabaseUser role)
    : loop_(loop), server_(std::move(server)), role_(std::move(role)) {
  if (!is_name()) addresses_ = {server_.host};
}

bool ServerAccess::is_name() const {
  in6_addr parsed{};
  return !server_.host.starts_with('/') && inet_pton(AF_INET, server_.host.c_str(), &parsed) != 1 &&
         inet_pton(AF_INET6, server_.host.c_str(), &parsed) != 1;
}

void ServerAccess::look_up(std::function<void(Result<void>)> done) {
  if (!is_name()) {
    if (done) done({});
    return;
  }
  if (done) waiting_ = std::move(done);
  if (lookup_) return;
  lookup_ = std::make_unique<NameLookup>(loop_, server_.host, [this](Result<std::vector<std::string>> found) {
    lookup_.reset();
    if (found) addresses_ = std::move(*found);
    const auto waiting = std::exchange(waiting_, nullptr);
    if (!waiting) return;
    if (found || !addresses_.empty()) return waiting({});
    waiting(found.error());
  });
}

PgSettings ServerAccess::settings(Duration statement_timeout) const {
  return {.address = server_,
          .addresses = server_.host.starts_with('/') ? std::vector<std::string>{} : addresses_,
          .user = role_.user,
          .database = role_.database,
          .password = role_.password_file.empty() ? "" : first_line(role_.password_file),
          .parameters = {{"statement_timeout", std::to_string(to_milliseconds(statement_timeout))},
                         {"search_path", "pg_catalog"},
                         {"synchronous_commit", "local"},
                         {"jit", "off"}}};
}

}  // namespace pgkeel
