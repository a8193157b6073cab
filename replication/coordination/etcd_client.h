// Talks to etcd's members over their JSON gateways: one request after the other to the member that answered last, to
// the next one where it does not. Where no answer comes, nobody knows whether a request was carried out. Nothing is
// repeated here, but for what etcd refused because it knows our token no more, behind a login. And where a kept
// connection turns out to have died before a byte of the answer came, libcurl sends the request once more, on a new
// one. That does no harm: whoever writes does so in a transaction whose conditions hold but once, or that writes the
// same again, and a lease that was granted twice runs out. Loop's thread only; callbacks come later, and not any more
// when this is gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/http_transfers.h"
#include "proxy/io/timer.h"
#include "replication/coordination/etcd_requests.h"
#include "replication/coordination/etcd_secrets.h"

namespace pgkeel {

struct EtcdSettings {
  std::vector<std::string> endpoints;  // "http://HOST:PORT" or "https://…", at least one
  std::string user;                    // empty: etcd asks for none
  std::string password;
  HttpTransferTls tls;
  std::shared_ptr<EtcdSecrets> secrets = nullptr;  // renews the two above; null: they stay as they are
};

struct EtcdFailure {
  std::string message;   // one line, with the endpoint
  bool refused = false;  // etcd answered, and did nothing; else nobody knows
  std::string answer;    // where refused
};

class EtcdClient {
 public:
  using Done = std::function<void(Result<std::string, EtcdFailure> body)>;

  EtcdClient(Loop& loop, EtcdSettings settings);
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  // `limit`: from when it is sent to its answer. A login that it waits for has a time of its own, for a slow one says
  // nothing of how etcd answers: an answer tells of no later than when this was called.
  void ask(EtcdRequest request, Duration limit, Done done);

  // All that changes below the prefix from this revision on, in order. `on_end`: it is over, and why; then all is to be
  // read anew. A second watch takes the place of the first.
  void watch(const std::string& prefix, std::uint64_t from_revision, std::function<void(const EtcdNews&)> on_news,
             std::function<void(std::string why)> on_end);
  void end_watch();

 private:
  struct Watch;
  using LoggedIn = std::function<void(Result<void, EtcdFailure>)>;
  void send(const EtcdRequest& request, Duration limit, Done done);
  // At once where there is a token, or none is needed.
  void log_in(Duration limit, LoggedIn done);
  [[nodiscard]] HttpTransfer transfer_of(const EtcdRequest& request, Duration limit) const;
  // `token`: with which it was asked.
  [[nodiscard]] Result<std::string, EtcdFailure> judge(Result<HttpTransferAnswer> answer, std::size_t endpoint,
                                                       const std::string& token);
  void open_watch();
  void take_bytes(std::string_view bytes);
  void watch_is_over(std::string why);

  Loop& loop_;
  EtcdSettings settings_;
  std::size_t endpoint_ = 0;
  std::string token_;             // empty: not logged in
  std::vector<LoggedIn> logins_;  // who waits for the one that is under way
  std::shared_ptr<Watch> watch_;  // owned here alone; who waits for something of it holds it weakly
  HttpTransfers transfers_;
  Timer secrets_;
};

}  // namespace pgkeel
