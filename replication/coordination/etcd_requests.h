// Requests to etcd's JSON gateway (etcd 3.4 and later: /v3/…) and what its answers say. Keys and values are base64
// there, 64-bit numbers are strings (proto3's JSON mapping). Pure. Nothing here throws, whatever an answer holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "replication/coordination/etcd_keys.h"

namespace pgkeel {

struct EtcdRequest {
  std::string path;  // "/v3/kv/txn"
  std::string body;
};

// One condition, one write: built up, then sent as a whole.
class EtcdTransaction {
 public:
  EtcdTransaction& if_created_at(const std::string& key, std::uint64_t revision);  // 0: it is not there
  EtcdTransaction& if_version(const std::string& key, std::uint64_t revision);     // 0: it is not there
  EtcdTransaction& if_lease(const std::string& key, std::uint64_t lease);
  EtcdTransaction& put(const std::string& key, const std::string& value, std::uint64_t lease = 0);
  EtcdTransaction& remove(const std::string& key);
  EtcdTransaction& remove_prefix(const std::string& prefix);
  EtcdTransaction& read_prefix(const std::string& prefix);

  [[nodiscard]] EtcdRequest request() const;

 private:
  std::vector<std::string> conditions_;  // each a JSON object
  std::vector<std::string> operations_;
};

EtcdRequest grant_lease(std::uint64_t seconds);
EtcdRequest renew_lease(std::uint64_t lease);
EtcdRequest revoke_lease(std::uint64_t lease);
EtcdRequest read_prefix(const std::string& prefix);
EtcdRequest watch_prefix(const std::string& prefix, std::uint64_t from_revision);
EtcdRequest ask_status();  // of the member that is asked
EtcdRequest authenticate(const std::string& user, const std::string& password);

struct EtcdAnswer {
  std::uint64_t revision = 0;
  bool succeeded = false;             // a transaction: its conditions held
  std::vector<EtcdKeyValue> entries;  // of a read, also as part of a transaction
};
Result<EtcdAnswer> read_answer(std::string_view body);  // of a transaction or a read

Result<std::uint64_t> read_granted(std::string_view body);

struct EtcdRenewal {
  std::uint64_t revision = 0;
  bool holds = false;
};
Result<EtcdRenewal> read_renewal(std::string_view body);

Result<std::string> read_token(std::string_view body);

struct EtcdStatus {
  std::string version;              // "3.4.23"
  bool has_leader = false;          // else it neither reads nor writes: there is no majority
  std::vector<std::string> errors;  // as it tells them: "alarm:NOSPACE"
};
Result<EtcdStatus> read_status(std::string_view body);

struct EtcdEvent {
  bool gone = false;
  EtcdKeyValue entry;  // gone: only its key
};
struct EtcdNews {
  std::uint64_t revision = 0;
  std::vector<EtcdEvent> events;
};
// One message of a watch. An error: the watch is over, and all is to be read anew.
Result<EtcdNews> read_news(std::string_view line);

// What etcd says when it refuses, for a person: "etcdserver: requested lease not found".
std::string refusal_text(std::string_view body);
bool lease_is_unknown(std::string_view body);
bool token_is_wrong(std::string_view body);
// Of a message that read_news() took for an error. Older releases of etcd also end a watch with "permission denied"
// where its token is too old.
bool watch_needs_another_token(std::string_view line);

}  // namespace pgkeel
