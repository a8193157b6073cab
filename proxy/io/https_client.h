// A client of one HTTPS server: its certificate must be of the authority and bear the host's name or address, and be an
// agent's, unless HttpsPeer says otherwise. The connection is kept between requests. Blocks: for job threads. One
// thread at a time; cancel() from any.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct HttpsPeer {
  std::string url;              // "https://HOST:PORT", without a path
  std::string authority_pem;    // whom to believe
  std::string certificate_pem;  // that we show; empty: none
  std::string key_pem;
  bool is_agent = true;                   // by what its certificate is made for
  bool name_must_match = true;            // false: where authority_pem is the one certificate that is expected
  std::string bearer_token = {};          // empty: none is sent
  std::vector<std::string> headers = {};  // "Name: value"
};

struct HttpsAnswer {
  long status = 0;
  std::string body;
};

class HttpsClient {
 public:
  explicit HttpsClient(HttpsPeer peer);
  ~HttpsClient();
  HttpsClient(const HttpsClient&) = delete;
  HttpsClient& operator=(const HttpsClient&) = delete;

  // `limit`: for all of it, connect and answer. An error where no answer came, or one that is too long.
  Result<HttpsAnswer> get(const std::string& path, Duration limit, std::size_t answer_bytes_max = std::size_t{1} << 20);
  Result<HttpsAnswer> post(const std::string& path, const std::string& json, Duration limit);

  // The request that runs, and all later ones, fail at once.
  void cancel();
  [[nodiscard]] bool cancelled() const;

 private:
  struct Inner;
  Result<HttpsAnswer> perform(const std::string& path, Duration limit);

  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
