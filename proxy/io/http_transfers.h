// HTTP requests on a loop (libcurl's multi interface): many at a time, none of them blocks, connections are kept.
// Answers may be read as they arrive, for streams that never end. Host names are looked up beside the loop; where that
// has been done once, a name server that is slow or away holds nothing up: the last addresses are good until there are
// others. Loop's thread only. Destroying it cancels what is under way; its callbacks may start and cancel transfers,
// but not destroy it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/certificates.h"
#include "proxy/io/name_lookup.h"

namespace pgkeel {

class Loop;

// Whom to believe, and what to show; for https only.
struct HttpTransferTls {
  std::string authority_pem;    // empty: the system's
  std::string certificate_pem;  // empty: none is shown
  std::string key_pem;
  std::optional<CertificateRole> role;  // that the other side's certificate must have; nothing: it is none of pgkeel's
};

struct HttpTransfer {
  std::string url;
  std::string body;                  // of a POST, JSON; empty: a GET
  std::vector<std::string> headers;  // "Name: value"
  HttpTransferTls tls;
  Duration limit{};  // for all of it; zero: none, for a stream
  std::size_t answer_bytes_max = std::size_t{1} << 20;
  // Where set, the bytes of a successful answer (200) go here and are not kept; false: that is enough.
  std::function<bool(std::string_view bytes)> on_bytes;
};

struct HttpTransferAnswer {
  long status = 0;
  std::string body;
};

class HttpTransfers {
 public:
  using Id = std::uint64_t;
  using Done = std::function<void(Result<HttpTransferAnswer> answer)>;

  // Looks up a host name once, as NameLookup does; what it returns is kept until the answer is there, or not wanted.
  using LookUp = std::function<std::shared_ptr<void>(const std::string& host, NameLookup::Done done)>;

  explicit HttpTransfers(Loop& loop);
  HttpTransfers(Loop& loop, LookUp look_up);
  ~HttpTransfers();
  HttpTransfers(const HttpTransfers&) = delete;
  HttpTransfers& operator=(const HttpTransfers&) = delete;

  // `done` comes later, once. An error: no answer, or none that can be read; it names the URL.
  Id start(HttpTransfer transfer, Done done);
  // Its `done` will not come. One that is over is passed over.
  void cancel(Id id);

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
