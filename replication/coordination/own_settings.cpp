#include "replication/coordination/own_settings.h"

#include <memory>
#include <utility>

#include "proxy/io/host_name.h"

namespace pgkeel {
Result<EtcdSettings> read_etcd_settings(const CoordinationConfig& config) {
  EtcdSettings etcd;
  etcd.endpoints = config.etcd;
  etcd.user = config.user;
  auto secrets = EtcdSecrets::read(config);
  if (!secrets) return secrets.error();
  etcd.secrets = std::make_shared<EtcdSecrets>(std::move(*secrets));
  etcd.password = etcd.secrets->password();
  etcd.tls = etcd.secrets->tls();
  return etcd;
}

std::string own_member_name(const CoordinationConfig& config) {
  if (!config.name.empty()) return config.name;
  const std::string host = own_host_name();
  return host.empty() ? "pgkeel" : host;
}

}  // namespace pgkeel
