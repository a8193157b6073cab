#include "health/server_access.h"

#include <fstream>
#include <utility>

#include "proxy/io/loop.h"

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

ServerAccess::ServerAccess(Loop& loop, HostPort server, DatabaseUser role, ServerTlsConfig tls)
    : loop_(loop),
      server_(std::move(server)),
      role_(std::move(role)),
      tls_(std::move(tls)),
      addresses_(numeric_socket_addresses(server_)),
      resolver_(loop) {
  is_name_ = addresses_.empty();
}

void ServerAccess::look_up(std::function<void(Result<void>)> done) {
  if (done) waiting_ = std::move(done);
  if (!is_name_) return tell({});
  request_ = resolver_.resolve(server_, [this](const Result<Resolver::Addresses>& found) {
    if (found) addresses_ = *found;
    tell(found || !addresses_.empty() ? Result<void>{} : Result<void>{found.error()});
  });
}

// The resolver may answer at once.
void ServerAccess::tell(const Result<void>& found) {
  if (!waiting_) return;
  loop_.defer([this, found, token = std::weak_ptr(alive_)] {
    if (token.expired()) return;
    if (const auto waiting = std::exchange(waiting_, nullptr)) waiting(found);
  });
}

Result<PgSettings> ServerAccess::settings(Duration statement_timeout, const std::string& session_name) const {
  PgSettings settings{.address = server_,
                      .addresses = addresses_,
                      .user = role_.user,
                      .database = role_.database,
                      .password = "",
                      .sslmode = server_tls_mode_name(tls_.mode),
                      .sslrootcert = tls_.ca,
                      .application_name = session_name,
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
