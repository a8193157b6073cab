#include "replication/coordination/etcd_client.h"

#include <algorithm>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

constexpr std::size_t kAnswerBytesMax = std::size_t{16} << 20;
constexpr std::size_t kNewsBytesMax = std::size_t{16} << 20;  // of one message of a watch
// At least: etcd makes a password dear to check, by intent.
constexpr Duration kLoginLimit = std::chrono::seconds(1);
constexpr Duration kSecretsEvery = std::chrono::seconds(5);
constexpr long kOk = 200;

}  // namespace

struct EtcdClient::Watch {
  EtcdRequest request;
  std::function<void(const EtcdNews&)> on_news;
  std::function<void(std::string)> on_end;
  HttpTransfers::Id transfer = 0;
  std::string unread;  // of a message that has not ended
  std::string problem;
};

EtcdClient::EtcdClient(Loop& loop, EtcdSettings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      transfers_(loop),
      secrets_(loop, [this] { settings_.secrets->look(wall_now()); }) {
  if (settings_.secrets) secrets_.start_repeating(kSecretsEvery);
}

EtcdClient::~EtcdClient() = default;

void EtcdClient::ask(EtcdRequest request, Duration limit, Done done) {
  log_in(limit, [this, request = std::move(request), limit, done = std::move(done)](Result<void, EtcdFailure> result) {
    if (!result) return done(result.error());
    send(request, limit, [this, request, limit, done](Result<std::string, EtcdFailure> body) {
      if (body || settings_.user.empty() || !token_is_wrong(body.error().answer)) return done(std::move(body));
      // A token runs out, and an etcd that was started again knows none. It has done nothing.
      log_in(limit, [this, request, limit, done](Result<void, EtcdFailure> again) {
        if (!again) return done(again.error());
        send(request, limit, done);
      });
    });
  });
}

void EtcdClient::log_in(Duration limit, LoggedIn done) {
  if (settings_.user.empty() || !token_.empty()) return done({});
  logins_.push_back(std::move(done));
  if (logins_.size() > 1) return;
  if (settings_.secrets) settings_.password = settings_.secrets->password();
  send(authenticate(settings_.user, settings_.password), std::max<Duration>(limit, kLoginLimit),
       [this](Result<std::string, EtcdFailure> body) {
         Result<void, EtcdFailure> result;
         if (!body) {
           result = body.error();
         } else if (auto token = read_token(*body)) {
           token_ = std::move(*token);
         } else {
           result = EtcdFailure{token.error().message, true, *body};
         }
         for (const auto& waiting : std::exchange(logins_, {})) waiting(result);
       });
}

HttpTransfer EtcdClient::transfer_of(const EtcdRequest& request, Duration limit) const {
  HttpTransfer transfer;
  transfer.url = settings_.endpoints[endpoint_] + request.path;
  transfer.body = request.body;
  if (!token_.empty()) transfer.headers.push_back("Authorization: " + token_);
  transfer.tls = settings_.secrets ? settings_.secrets->tls() : settings_.tls;
  transfer.limit = limit;
  transfer.answer_bytes_max = kAnswerBytesMax;
  return transfer;
}

void EtcdClient::send(const EtcdRequest& request, Duration limit, Done done) {
  transfers_.start(transfer_of(request, limit),
                   [this, endpoint = endpoint_, token = token_, done = std::move(done)](
                       Result<HttpTransferAnswer> answer) { done(judge(std::move(answer), endpoint, token)); });
}

Result<std::string, EtcdFailure> EtcdClient::judge(Result<HttpTransferAnswer> answer, std::size_t endpoint,
                                                   const std::string& token) {
  // Also where it refuses for a reason of its own, such as that it sees no leader: another may do better.
  const auto try_next = [&] {
    if (endpoint_ == endpoint) endpoint_ = (endpoint_ + 1) % settings_.endpoints.size();
  };
  const auto forget_token = [&] {
    if (token_ == token) token_.clear();
  };
  if (!answer) {
    try_next();
    // So some releases of etcd's gateway say that the token is wrong.
    if (answer.error().message.ends_with("Empty reply from server")) forget_token();
    return EtcdFailure{answer.error().message, false, ""};
  }
  if (answer->status == kOk) return std::move(answer->body);
  if (token_is_wrong(answer->body)) {
    forget_token();
  } else if (!lease_is_unknown(answer->body)) {
    try_next();
  }
  const std::string why = refusal_text(answer->body);
  // "etcdserver: request timed out" and the like: it may have been carried out.
  const bool refused = answer->status < 500;
  return EtcdFailure{settings_.endpoints[endpoint] + ": " + why, refused, std::move(answer->body)};
}

void EtcdClient::watch(const std::string& prefix, std::uint64_t from_revision,
                       std::function<void(const EtcdNews&)> on_news, std::function<void(std::string)> on_end) {
  end_watch();
  watch_ = std::make_shared<Watch>();
  watch_->request = watch_prefix(prefix, from_revision);
  watch_->on_news = std::move(on_news);
  watch_->on_end = std::move(on_end);
  log_in(kLoginLimit, [this, watch = std::weak_ptr(watch_)](Result<void, EtcdFailure> result) {
    if (watch.expired()) return;
    if (!result) return watch_is_over(result.error().message);
    open_watch();
  });
}

void EtcdClient::open_watch() {
  HttpTransfer transfer = transfer_of(watch_->request, Duration::zero());  // without limit
  const std::weak_ptr watch = watch_;
  transfer.on_bytes = [this, watch](std::string_view bytes) {
    if (watch.expired()) return false;
    take_bytes(bytes);
    return watch_->problem.empty();
  };
  watch_->transfer = transfers_.start(
      std::move(transfer), [this, watch, endpoint = endpoint_, token = token_](Result<HttpTransferAnswer> answer) {
        if (watch.expired()) return;
        std::string why = watch_->problem;
        watch_->transfer = 0;
        if (why.empty()) {
          const auto judged = judge(std::move(answer), endpoint, token);
          why = judged ? settings_.endpoints[endpoint] + " ended the watch" : judged.error().message;
        }
        watch_is_over(std::move(why));
      });
}

// One message a line.
void EtcdClient::take_bytes(std::string_view bytes) {
  watch_->unread.append(bytes);
  std::size_t begin = 0;
  for (auto end = watch_->unread.find('\n'); end != std::string::npos; end = watch_->unread.find('\n', begin)) {
    const auto line = std::string_view(watch_->unread).substr(begin, end - begin);
    const auto news = read_news(line);
    begin = end + 1;
    if (!news) {
      if (watch_needs_another_token(line)) token_.clear();
      watch_->problem = news.error().message;
      return;
    }
    // Not from inside libcurl: what hears of it may begin and end transfers.
    loop_.defer([watch = std::weak_ptr(watch_), news = *news] {
      // Held while it is told: it may end the watch, or begin another.
      if (const auto current = watch.lock()) current->on_news(news);
    });
  }
  watch_->unread.erase(0, begin);
  if (watch_->unread.size() > kNewsBytesMax) watch_->problem = "etcd sends a message without end";
}

void EtcdClient::end_watch() {
  if (watch_ != nullptr && watch_->transfer != 0) transfers_.cancel(watch_->transfer);
  watch_.reset();
}

void EtcdClient::watch_is_over(std::string why) {
  const auto on_end = std::move(watch_->on_end);
  watch_.reset();
  on_end(std::move(why));
}

}  // namespace pgkeel
