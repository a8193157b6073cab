#include "health/server_access.h"

#include <fstream>
#include <utility>

#include "proxy/base/ip_address.h"

namespace pgkeel {
namespace {

Result<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return Error{"cannot read the password file " + path};
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

ServerAccess::ServerAccess(Loop& loop, HostPort server, DatabaseUser role)
    : loop_(loop), server_(std::move(server)), role_(std::move(role)) {
  if (!is_name()) addresses_ = {server_.host};
}

bool ServerAccess::is_name() const {
  return !server_.host.starts_with('/') && !parse_ip_address(server_.host).has_value();
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

Result<PgSettings> ServerAccess::settings(Duration statement_timeout) const {
  PgSettings settings{.address = server_,
                      .addresses = server_.host.starts_with('/') ? std::vector<std::string>{} : addresses_,
                      .user = role_.user,
                      .database = role_.database,
                      .password = "",
                      .parameters = {{"statement_timeout", std::to_string(to_milliseconds(statement_timeout))},
                                     {"search_path", "pg_catalog"},
                                     {"synchronous_commit", "local"},
                                     {"jit", "off"}}};
  if (!role_.password_file.empty()) {
    auto password = first_line(role_.password_file);
    if (!password) return password.error();
    settings.password = std::move(*password);
  }
  return settings;
}

}  // namespace pgkeel
