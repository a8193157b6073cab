#include "replication/peers/peer_circle.h"

#include <algorithm>
#include <utility>

#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLookEvery = 1s;
constexpr Duration kLookCloselyEvery = 150ms;
constexpr Duration kViewLimit = 900ms;
constexpr Duration kViewLasts = 3s;
constexpr Duration kCancelLimit = 6s;
constexpr Duration kCertificatesEvery = 5s;
constexpr std::size_t kNamedAtMost = 10;

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kNamedAtMost; ++i) text += (text.empty() ? "" : ", ") + names[i];
  if (names.size() > kNamedAtMost) text += " and " + std::to_string(names.size() - kNamedAtMost) + " more";
  return text;
}

}  // namespace

PeerCircle::PeerCircle(Loop& loop, const CoordinationConfig& config, SharedSettings settings,
                       PeerServer::Answers answers, Tell tell)
    : promise_limit_(CoordinationPolicy{config.lease}.renew_every()),
      settings_(std::move(settings)),
      tell_(std::move(tell)),
      files_(config.peer.tls.ca, config.peer.tls.cert, config.peer.tls.key, CertificateRole::kProxy),
      cancels_([this](const std::string& address, const PeerCancel& cancel, std::function<void(bool)> done) {
        client_->send_cancel(address, cancel, kCancelLimit, std::move(done));
      }),
      server_(loop, {.promise = std::move(answers.promise),
                     .view =
                         [this, view = std::move(answers.view)] {
                           PeerView own = view();
                           own.settings = settings_;
                           return own;
                         },
                     .cancel = std::move(answers.cancel)}),
      look_(loop, [this] { look_around(); }),
      certificates_(loop, [this] { review_certificates(); }) {}

Result<std::unique_ptr<PeerCircle>> PeerCircle::open(Loop& loop, const CoordinationConfig& config,
                                                     SharedSettings settings, PeerServer::Answers answers, Tell tell) {
  std::unique_ptr<PeerCircle> circle(
      new PeerCircle(loop, config, std::move(settings), std::move(answers), std::move(tell)));
  circle->files_.look_now();
  const auto& identity = circle->files_.identity();
  if (!identity) return Error{"[coordination] peer: " + circle->files_.trouble()};
  if (const auto good = check_peer_identity(*identity); !good)
    return Error{"[coordination] peer: " + good.error().message};
  auto acceptor = TlsAcceptor::open(*identity, CertificateRole::kProxy);
  if (!acceptor) return acceptor.error();
  circle->client_.emplace(loop, *identity);
  if (const auto listening = circle->server_.listen(config.peer.listen, std::move(*acceptor)); !listening)
    return listening.error();
  circle->look_.start_repeating(kLookEvery);
  circle->certificates_.start_repeating(kCertificatesEvery);
  return circle;
}

void PeerCircle::members_are(const std::map<std::string, std::string>& addresses) {
  const bool is_somebody_new = !std::ranges::includes(addresses_, addresses);
  addresses_ = addresses;
  std::erase_if(seen_, [this](const auto& seen) { return !addresses_.contains(seen.first); });
  std::erase_if(differences_, [this](const auto& each) { return !addresses_.contains(each.first); });
  if (is_somebody_new) ask_views();  // also the others, which does no harm
}

void PeerCircle::ask_promise(const std::string& address, const PromiseRequest& request,
                             std::function<void(std::optional<Promise> promise)> done) {
  client_->ask_promise(address, request, promise_limit_, [done = std::move(done)](Result<Promise> promise) {
    done(promise ? std::optional(std::move(*promise)) : std::nullopt);
  });
}

void PeerCircle::find_session(const PeerCancel& cancel, std::function<void(bool is_forwarded)> done) {
  std::vector<std::string> addresses;
  for (const auto& [member, address] : addresses_) addresses.push_back(address);
  cancels_.start(addresses, cancel, std::move(done));
}

void PeerCircle::settings_are(SharedSettings settings) {
  settings_ = std::move(settings);
  for (const auto& [member, seen] : seen_) compare(member, seen.view.settings);
}

std::map<std::string, SeenView> PeerCircle::views() const {
  std::map<std::string, SeenView> views;
  for (const auto& [member, seen] : seen_) {
    if (monotonic_now() - seen.asked_at < kViewLasts) views[member] = seen;
  }
  return views;
}

void PeerCircle::look_closely(bool closely) {
  if (std::exchange(closely_, closely) == closely) return;
  look_.start_repeating(closely ? kLookCloselyEvery : kLookEvery);
  if (closely) look_around();
}

void PeerCircle::look_around() {
  on_news_();  // what was said may have grown old
  ask_views();
}

void PeerCircle::ask_views() {
  for (const auto& [member, address] : addresses_) {
    if (!asked_.insert(member).second) continue;
    client_->ask_view(address, kViewLimit, [this, member, asked_at = monotonic_now()](const Result<PeerView>& view) {
      asked_.erase(member);
      // One that was asked as another, or has gone meanwhile, says nothing of this member.
      if (!view || view->name != member || !addresses_.contains(member)) return;
      seen_[member] = {*view, asked_at};
      compare(member, view->settings);
      on_news_();
    });
  }
}

// Tells what has changed of that.
void PeerCircle::compare(const std::string& member, const SharedSettings& theirs) {
  const auto differ = differing_settings(settings_, theirs);
  const auto before = differences_.find(member);
  if (differ == (before == differences_.end() ? std::vector<std::string>() : before->second)) return;
  if (differ.empty()) {
    differences_.erase(before);
    return tell_(Severity::kInfo, "pgkeel " + member + " is configured as this one again");
  }
  differences_[member] = differ;
  tell_(Severity::kWarning,
        "pgkeel " + member + " is configured differently in what all must have in common: " + list_of(differ));
}

void PeerCircle::review_certificates() {
  switch (files_.look()) {
    case TlsIdentityFiles::Change::kNone:
      return;
    case TlsIdentityFiles::Change::kUnusable:
      return tell_(Severity::kWarning, "the certificate for other pgkeels stays as it was: " + files_.trouble());
    case TlsIdentityFiles::Change::kReplaced:
      break;
  }
  const TlsIdentity& identity = *files_.identity();
  const auto good = check_peer_identity(identity);
  const auto acceptor = TlsAcceptor::open(identity, CertificateRole::kProxy);
  if (!good || !acceptor) {
    const std::string why = good ? acceptor.error().message : good.error().message;
    return tell_(Severity::kWarning, "the certificate for other pgkeels stays as it was: " + why);
  }
  client_->use(identity);
  server_.use_certificate(*acceptor);
  tell_(Severity::kInfo, "a new certificate is in use for other pgkeels");
}

}  // namespace pgkeel
