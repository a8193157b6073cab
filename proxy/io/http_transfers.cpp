#include "proxy/io/http_transfers.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "proxy/io/certificate_role.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/loop.h"
#include "proxy/io/timer.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kConnectLimit = 1s;
constexpr long kOk = 200;

using Headers = std::unique_ptr<curl_slist, decltype([](curl_slist* list) { curl_slist_free_all(list); })>;
using Easy = std::unique_ptr<CURL, decltype([](CURL* easy) { curl_easy_cleanup(easy); })>;

struct Running {
  HttpTransfer transfer;
  HttpTransfers::Done done;
  Easy easy;
  Headers headers;
  std::string body;
  std::array<char, CURL_ERROR_SIZE> problem{};
};

// libcurl takes anything else than `size * count` for an error.
std::size_t take_bytes(char* bytes, std::size_t size, std::size_t count, void* into) {
  auto& running = *static_cast<Running*>(into);
  const std::string_view text(bytes, size * count);
  if (running.transfer.on_bytes) {
    long status = 0;
    curl_easy_getinfo(running.easy.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status == kOk) return running.transfer.on_bytes(text) ? text.size() : 0;
  }
  if (running.body.size() + text.size() > running.transfer.answer_bytes_max) return 0;
  running.body.append(text);
  return text.size();
}

void set_pem(CURL* easy, CURLoption option, const std::string& pem) {
  curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};  // it lives as long as the handle
  if (!pem.empty()) curl_easy_setopt(easy, option, &blob);
}

CURLcode demand_role(CURL*, void* context, void* role) {
  auto* tls = static_cast<SSL_CTX*>(context);
  SSL_CTX_set_verify(tls, SSL_CTX_get_verify_mode(tls), verify_callback_for(*static_cast<CertificateRole*>(role)));
  return CURLE_OK;
}

// Neither the environment (proxies) nor the server (redirects, other protocols) leads us elsewhere.
void prepare(Running& running) {
  CURL* easy = running.easy.get();
  const HttpTransfer& transfer = running.transfer;
  running.headers.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
  running.headers.reset(curl_slist_append(running.headers.release(), "Expect:"));
  for (const auto& header : transfer.headers)
    running.headers.reset(curl_slist_append(running.headers.release(), header.c_str()));
  curl_easy_setopt(easy, CURLOPT_URL, transfer.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, running.headers.get());
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!transfer.tls.authority_pem.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, "");  // nobody but who is named here
    set_pem(easy, CURLOPT_CAINFO_BLOB, transfer.tls.authority_pem);
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  }
  if (running.transfer.tls.role) {
    // A session that is resumed would show no certificate.
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, demand_role);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, &*running.transfer.tls.role);
  }
  set_pem(easy, CURLOPT_SSLCERT_BLOB, transfer.tls.certificate_pem);
  set_pem(easy, CURLOPT_SSLKEY_BLOB, transfer.tls.key_pem);
  const Duration connect = transfer.limit > Duration::zero() ? std::min(transfer.limit, kConnectLimit) : kConnectLimit;
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(to_milliseconds(connect)));
  if (transfer.limit > Duration::zero())
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(to_milliseconds(transfer.limit))));
  if (!transfer.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.body.size()));
  }
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &running);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, running.problem.data());
}

}  // namespace

struct HttpTransfers::Inner {
  explicit Inner(Loop& on) : loop(on), timer(on, [this] { act(CURL_SOCKET_TIMEOUT, 0); }) {
    [[maybe_unused]] static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  }
  ~Inner() {
    for (auto& each : running) curl_multi_remove_handle(multi, each.second->easy.get());
    running.clear();
    curl_multi_cleanup(multi);
  }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

  static int watch_socket(CURL*, curl_socket_t socket, int what, void* of, void*) {
    auto& inner = *static_cast<Inner*>(of);
    if (what == CURL_POLL_REMOVE) {
      inner.watches.erase(socket);
      return 0;
    }
    auto& watch = inner.watches[socket];
    if (watch == nullptr) {
      watch = std::make_unique<FdWatch>(inner.loop, socket, [&inner, socket](FdInterest ready) {
        inner.act(socket,
                  (ready.readable || ready.failed ? CURL_CSELECT_IN : 0) | (ready.writable ? CURL_CSELECT_OUT : 0));
      });
    }
    watch->set_interest({.readable = (what & CURL_POLL_IN) != 0, .writable = (what & CURL_POLL_OUT) != 0});
    return 0;
  }

  static int set_timer(CURLM*, long milliseconds, void* of) {
    auto& inner = *static_cast<Inner*>(of);
    if (milliseconds < 0) {
      inner.timer.stop();
    } else {
      inner.timer.start_once(std::chrono::milliseconds(std::max(1L, milliseconds)));
    }
    return 0;
  }

  void act(curl_socket_t socket, int events) {
    int still_running = 0;
    curl_multi_socket_action(multi, socket, events, &still_running);
    hand_over();
  }

  void hand_over() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      const auto found = std::ranges::find_if(
          running, [&](const auto& each) { return each.second->easy.get() == message->easy_handle; });
      if (found != running.end()) finish(found->first, code);
    }
  }

  void finish(Id id, CURLcode code) {
    const std::unique_ptr<Running> over = std::move(running.extract(id).mapped());
    curl_multi_remove_handle(multi, over->easy.get());
    HttpTransferAnswer answer;
    if (code != CURLE_OK) {
      const char* why = over->problem[0] != '\0' ? over->problem.data() : curl_easy_strerror(code);
      return over->done(Error{over->transfer.url + ": " + why});
    }
    curl_easy_getinfo(over->easy.get(), CURLINFO_RESPONSE_CODE, &answer.status);
    answer.body = std::move(over->body);
    over->done(std::move(answer));
  }

  Loop& loop;
  CURLM* multi = nullptr;
  std::map<curl_socket_t, std::unique_ptr<FdWatch>> watches;
  std::map<Id, std::unique_ptr<Running>> running;
  Id newest = 0;
  Timer timer;
};

HttpTransfers::HttpTransfers(Loop& loop) : inner_(std::make_unique<Inner>(loop)) {}
HttpTransfers::~HttpTransfers() = default;

HttpTransfers::Id HttpTransfers::start(HttpTransfer transfer, Done done) {
  auto running = std::make_unique<Running>();
  running->transfer = std::move(transfer);
  running->done = std::move(done);
  running->easy.reset(curl_easy_init());
  prepare(*running);
  const Id id = ++inner_->newest;
  CURL* easy = running->easy.get();
  inner_->running[id] = std::move(running);
  curl_multi_add_handle(inner_->multi, easy);  // its timer comes at once
  return id;
}

void HttpTransfers::cancel(Id id) {
  const auto found = inner_->running.find(id);
  if (found == inner_->running.end()) return;
  curl_multi_remove_handle(inner_->multi, found->second->easy.get());
  inner_->running.erase(found);
}

}  // namespace pgkeel
