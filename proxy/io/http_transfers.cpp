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
#include "proxy/io/socket.h"
#include "proxy/io/timer.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kConnectLimit = 1s;   // also of a look-up
constexpr Duration kAddressesRest = 5s;  // then they are looked up again, beside what goes on
constexpr long kOk = 200;

using Headers = std::unique_ptr<curl_slist, decltype([](curl_slist* list) { curl_slist_free_all(list); })>;
using Easy = std::unique_ptr<CURL, decltype([](CURL* easy) { curl_easy_cleanup(easy); })>;

using Url = std::unique_ptr<CURLU, decltype([](CURLU* url) { curl_url_cleanup(url); })>;
using Text = std::unique_ptr<char, decltype([](char* text) { curl_free(text); })>;

struct Server {
  std::string host;  // empty: the URL cannot be read, or its host needs no look-up
  std::string port;
};

struct Running {
  HttpTransfer transfer;
  HttpTransfers::Done done;
  Easy easy;
  Headers headers;
  Headers addresses;  // that its host was found to have
  Server server;
  Instant end{};  // where it has a limit
  std::unique_ptr<Timer> waits_for_addresses;
  std::string body;
  std::array<char, CURL_ERROR_SIZE> problem{};
};

Server server_of(const std::string& text) {
  const Url url(curl_url());
  const auto part = [&](CURLUPart what) {
    char* found = nullptr;
    curl_url_get(url.get(), what, &found, CURLU_DEFAULT_PORT);
    const Text owned(found);
    return std::string(owned ? owned.get() : "");
  };
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return {};
  Server server{part(CURLUPART_HOST), part(CURLUPART_PORT)};
  if (server.host.starts_with('[') || !numeric_socket_addresses({server.host, 1}).empty()) return {};
  return server;
}

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
  if (!transfer.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.body.size()));
  }
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &running);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, running.problem.data());
}

void set_limit(CURL* easy, CURLoption option, Duration limit) {
  curl_easy_setopt(easy, option, std::max(1L, static_cast<long>(to_milliseconds(limit))));
}

// libcurl must never look up a name: giving up such a look-up, it waits for it, and the loop with it.
int refuse_look_up(void*, void*, void*) {
  return 1;
}

// Certificates are still compared with the name.
void set_addresses(Running& running, const std::vector<std::string>& addresses) {
  std::string entry;
  for (const auto& address : addresses) {
    if (address.find('%') == std::string::npos)
      entry += (entry.empty() ? "" : ",") + address;  // libcurl takes no scopes
  }
  running.addresses.reset(
      curl_slist_append(nullptr, (running.server.host + ":" + running.server.port + ":" + entry).c_str()));
  curl_easy_setopt(running.easy.get(), CURLOPT_RESOLVE, running.addresses.get());
  curl_easy_setopt(running.easy.get(), CURLOPT_RESOLVER_START_FUNCTION, refuse_look_up);
}

struct Host {
  std::vector<std::string> addresses;  // the last good ones
  Instant looked_up_at{};
  std::shared_ptr<void> look_up;  // that is under way
  std::vector<HttpTransfers::Id> waiting;
};

}  // namespace

struct HttpTransfers::Inner {
  Inner(Loop& on, LookUp names)
      : loop(on), look_up(std::move(names)), timer(on, [this] { act(CURL_SOCKET_TIMEOUT, 0); }) {
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

  // To the addresses of its host: those that were good last, else as soon as there are any.
  void begin(Id id) {
    const auto& each = running.at(id);
    if (each->server.host.empty()) return set_off(id);
    Host& host = hosts[each->server.host];
    if (!host.look_up && (host.addresses.empty() || loop.now() - host.looked_up_at >= kAddressesRest)) {
      host.looked_up_at = loop.now();
      host.look_up =
          look_up(each->server.host, [this, name = each->server.host](const auto& found) { looked_up(name, found); });
    }
    if (!host.addresses.empty()) return set_off(id);
    host.waiting.push_back(id);
    each->waits_for_addresses = std::make_unique<Timer>(loop, [this, id] {
      fail(id, "cannot look up " + running.at(id)->server.host + ": no name server answers in time");
    });
    const Duration limit = each->transfer.limit;
    each->waits_for_addresses->start_once(limit > Duration::zero() ? std::min(limit, kConnectLimit) : kConnectLimit);
  }

  void looked_up(const std::string& name, const Result<std::vector<std::string>>& found) {
    Host& host = hosts[name];
    host.look_up.reset();
    if (found) host.addresses = *found;
    for (const Id id : std::exchange(host.waiting, {})) {
      if (!running.contains(id)) continue;
      found ? set_off(id) : fail(id, found.error().message);
    }
  }

  void set_off(Id id) {
    Running& each = *running.at(id);
    each.waits_for_addresses.reset();
    CURL* easy = each.easy.get();
    if (!each.server.host.empty()) set_addresses(each, hosts[each.server.host].addresses);
    Duration connect = kConnectLimit;
    if (each.transfer.limit > Duration::zero()) {
      const Duration left = each.end - loop.now();
      connect = std::min(connect, left);
      set_limit(easy, CURLOPT_TIMEOUT_MS, left);
    }
    set_limit(easy, CURLOPT_CONNECTTIMEOUT_MS, connect);
    curl_multi_add_handle(multi, easy);  // its timer comes at once
  }

  void fail(Id id, const std::string& why) {
    const std::unique_ptr<Running> over = std::move(running.extract(id).mapped());
    over->done(Error{over->transfer.url + ": " + why});
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
      // It may be elsewhere by now.
      if (const auto host = hosts.find(over->server.host); host != hosts.end()) host->second.looked_up_at = {};
      const char* why = over->problem[0] != '\0' ? over->problem.data() : curl_easy_strerror(code);
      return over->done(Error{over->transfer.url + ": " + why});
    }
    curl_easy_getinfo(over->easy.get(), CURLINFO_RESPONSE_CODE, &answer.status);
    answer.body = std::move(over->body);
    over->done(std::move(answer));
  }

  Loop& loop;
  const LookUp look_up;
  CURLM* multi = nullptr;
  std::map<curl_socket_t, std::unique_ptr<FdWatch>> watches;
  std::map<Id, std::unique_ptr<Running>> running;
  std::map<std::string, Host> hosts;
  Id newest = 0;
  Timer timer;
};

HttpTransfers::HttpTransfers(Loop& loop)
    : HttpTransfers(loop, [&loop](const std::string& host, NameLookup::Done done) {
        return std::make_shared<NameLookup>(loop, host, std::move(done));
      }) {}
HttpTransfers::HttpTransfers(Loop& loop, LookUp look_up) : inner_(std::make_unique<Inner>(loop, std::move(look_up))) {}
HttpTransfers::~HttpTransfers() = default;

HttpTransfers::Id HttpTransfers::start(HttpTransfer transfer, Done done) {
  auto running = std::make_unique<Running>();
  running->transfer = std::move(transfer);
  running->done = std::move(done);
  running->easy.reset(curl_easy_init());
  prepare(*running);
  running->server = server_of(running->transfer.url);
  running->end = inner_->loop.now() + running->transfer.limit;
  const Id id = ++inner_->newest;
  inner_->running[id] = std::move(running);
  inner_->begin(id);
  return id;
}

void HttpTransfers::cancel(Id id) {
  const auto found = inner_->running.find(id);
  if (found == inner_->running.end()) return;
  curl_multi_remove_handle(inner_->multi, found->second->easy.get());
  inner_->running.erase(found);
}

}  // namespace pgkeel
