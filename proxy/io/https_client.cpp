#include "proxy/io/https_client.h"

#include <algorithm>
#include <array>
#include <atomic>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "proxy/io/certificate_role.h"
#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAnswerBytesMax = 1U << 20;

struct Body {
  std::string text;
  std::size_t bytes_max = kAnswerBytesMax;
};
constexpr Duration kConnectLimit = 2s;
constexpr Duration kWaitMost = 1s;

using Headers = std::unique_ptr<curl_slist, decltype([](curl_slist* list) { curl_slist_free_all(list); })>;

void initialize_curl() {
  [[maybe_unused]] static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
}

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* into) {
  auto& body = *static_cast<Body*>(into);
  if (body.text.size() + size * count > body.bytes_max) return 0;
  body.text.append(bytes, size * count);
  return size * count;
}

// Chain, dates, extended key usage and host name are verified by libcurl; the role is ours.
CURLcode demand_role(CURL*, void* context, void*) {
  auto* tls = static_cast<SSL_CTX*>(context);
  SSL_CTX_set_verify(tls, SSL_CTX_get_verify_mode(tls), verify_callback_for(CertificateRole::kAgent));
  return CURLE_OK;
}

}  // namespace

struct HttpsClient::Inner {
  explicit Inner(HttpsPeer server) : peer(std::move(server)) {
    initialize_curl();
    multi = curl_multi_init();
    easy = curl_easy_init();
    headers.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
    // An answer may be waited for, but not permission to send: we send little.
    headers.reset(curl_slist_append(headers.release(), "Expect:"));
    if (!peer.bearer_token.empty())
      headers.reset(curl_slist_append(headers.release(), ("Authorization: Bearer " + peer.bearer_token).c_str()));
    for (const std::string& header : peer.headers) headers.reset(curl_slist_append(headers.release(), header.c_str()));
  }
  ~Inner() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

  // Neither the environment (proxies) nor the server (redirects, other protocols) leads us elsewhere.
  void prepare(const std::string& path, Duration limit, std::size_t answer_bytes_max) {
    curl_easy_reset(easy);
    body = {{}, answer_bytes_max};
    problem.fill('\0');
    curl_easy_setopt(easy, CURLOPT_URL, (peer.url + path).c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // who is cancelled does not wait for a name server
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, peer.name_must_match ? 2L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    if (peer.is_agent) curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, demand_role);
    curl_easy_setopt(easy, CURLOPT_CAINFO, "");  // nobody but who is named here
    set_pem(CURLOPT_CAINFO_BLOB, peer.authority_pem);
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    set_pem(CURLOPT_SSLCERT_BLOB, peer.certificate_pem);
    set_pem(CURLOPT_SSLKEY_BLOB, peer.key_pem);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(to_milliseconds(std::min(limit, kConnectLimit))));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(1, to_milliseconds(limit))));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, problem.data());
  }

  // Not copied: it lives as long as the handle.
  void set_pem(CURLoption option, const std::string& pem) const {
    curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};
    if (!pem.empty()) curl_easy_setopt(easy, option, &blob);
  }

  const HttpsPeer peer;
  CURLM* multi = nullptr;
  CURL* easy = nullptr;
  Headers headers;
  Body body;
  std::array<char, CURL_ERROR_SIZE> problem{};
  std::atomic<bool> cancelled{false};
};

HttpsClient::HttpsClient(HttpsPeer peer) : inner_(std::make_unique<Inner>(std::move(peer))) {}
HttpsClient::~HttpsClient() = default;

Result<HttpsAnswer> HttpsClient::get(const std::string& path, Duration limit, std::size_t answer_bytes_max) {
  inner_->prepare(path, limit, answer_bytes_max);
  return perform(path, limit);
}

Result<HttpsAnswer> HttpsClient::post(const std::string& path, const std::string& json, Duration limit) {
  inner_->prepare(path, limit, kAnswerBytesMax);
  curl_easy_setopt(inner_->easy, CURLOPT_POSTFIELDS, json.data());
  curl_easy_setopt(inner_->easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json.size()));
  return perform(path, limit);
}

void HttpsClient::cancel() {
  inner_->cancelled = true;
  curl_multi_wakeup(inner_->multi);
}

bool HttpsClient::cancelled() const {
  return inner_->cancelled;
}

Result<HttpsAnswer> HttpsClient::perform(const std::string& path, Duration limit) {
  const auto cannot = [&](const std::string& why) { return Error{inner_->peer.url + path + ": " + why}; };
  if (curl_multi_add_handle(inner_->multi, inner_->easy) != CURLM_OK) return cannot("no memory for a request");
  const Instant deadline = monotonic_now() + limit;
  int running = 1;
  while (running > 0 && !inner_->cancelled) {
    if (curl_multi_perform(inner_->multi, &running) != CURLM_OK || running == 0) break;
    const auto left = std::clamp<Duration>(deadline - monotonic_now(), 1ms, kWaitMost);
    curl_multi_poll(inner_->multi, nullptr, 0, static_cast<int>(to_milliseconds(left)), nullptr);
  }
  CURLcode code = CURLE_ABORTED_BY_CALLBACK;
  int left_over = 0;
  while (const CURLMsg* message = curl_multi_info_read(inner_->multi, &left_over)) {
    if (message->msg == CURLMSG_DONE && message->easy_handle == inner_->easy) code = message->data.result;
  }
  HttpsAnswer answer;
  if (code == CURLE_OK) curl_easy_getinfo(inner_->easy, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_multi_remove_handle(inner_->multi, inner_->easy);
  if (inner_->cancelled) return cannot("not waited for any longer");
  if (code != CURLE_OK) return cannot(inner_->problem[0] != '\0' ? inner_->problem.data() : curl_easy_strerror(code));
  answer.body = std::move(inner_->body.text);
  return answer;
}

}  // namespace pgkeel
