#include "replication/coordination/own_settings.h"

#include <array>
#include <unistd.h>
#include <utility>

#include "proxy/io/durable_file.h"

namespace pgkeel {
namespace {

Result<std::string> text_of(const std::string& path) {
  if (path.empty()) return std::string();
  auto text = read_file(path);
  if (!text) return Error{"[coordination]: " + text.error().message};
  return text;
}

}  // namespace

Result<EtcdSettings> read_etcd_settings(const CoordinationConfig& config) {
  EtcdSettings etcd;
  etcd.endpoints = config.etcd;
  etcd.user = config.user;
  auto password = text_of(config.password_file);
  auto authority = text_of(config.tls.ca);
  auto certificate = text_of(config.tls.cert);
  auto key = text_of(config.tls.key);
  for (const auto* each : {&password, &authority, &certificate, &key}) {
    if (!*each) return each->error();
  }
  etcd.password = password->substr(0, password->find('\n'));
  etcd.tls.authority_pem = std::move(*authority);
  etcd.tls.certificate_pem = std::move(*certificate);
  etcd.tls.key_pem = std::move(*key);
  return etcd;
}

std::string own_member_name(const CoordinationConfig& config) {
  if (!config.name.empty()) return config.name;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "pgkeel";
  return name.data();
}

}  // namespace pgkeel
