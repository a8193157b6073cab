// One pgkeel among the others of the same clusters: opens its door to them, asks them for promises, carries cancel
// requests to where their sessions are, looks at what the others see, and notices what is configured differently.
// Certificates are read again when their files change. Loop's thread only; callbacks come once, now or later, and not
// any more when this is gone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/io/timer.h"
#include "proxy/io/tls_identity_files.h"
#include "replication/peers/cancel_search.h"
#include "replication/peers/peer_client.h"
#include "replication/peers/peer_server.h"

namespace pgkeel {

// What a member said, and when it was asked.
struct SeenView {
  PeerView view;
  Instant asked_at{};
};

class PeerCircle {
 public:
  enum class Severity { kInfo, kWarning };
  using Tell = std::function<void(Severity severity, const std::string& text)>;

  // Reads the certificates, and listens. `settings`: ours, to compare with; PeerView::settings of `answers.view` is
  // filled in here.
  static Result<std::unique_ptr<PeerCircle>> open(Loop& loop, const CoordinationConfig& config, SharedSettings settings,
                                                  PeerServer::Answers answers, Tell tell);

  // The other members that live, with their addresses ("HOST:PORT").
  void members_are(const std::map<std::string, std::string>& addresses);

  void ask_promise(const std::string& address, const PromiseRequest& request,
                   std::function<void(std::optional<Promise> promise)> done);
  // A cancel request of a client that is none of this pgkeel's.
  void find_session(const PeerCancel& cancel, std::function<void(bool is_forwarded)> done);

  // A reload changed ours.
  void settings_are(SharedSettings settings);

  // What the others said in the last seconds. `on_news`: it may be something else now.
  [[nodiscard]] std::map<std::string, SeenView> views() const;
  void on_news(std::function<void()> on_news) { on_news_ = std::move(on_news); }
  // They are asked often from now on, because something depends on it; or not any more.
  void look_closely(bool closely);
  // The keys in which a member differs; nothing of those that differ in none.
  [[nodiscard]] const std::map<std::string, std::vector<std::string>>& differences() const { return differences_; }
  [[nodiscard]] WallTime certificate_ends() const { return files_.valid_until(); }
  [[nodiscard]] std::uint16_t port() const { return server_.port(); }

 private:
  PeerCircle(Loop& loop, const CoordinationConfig& config, SharedSettings settings, PeerServer::Answers answers,
             Tell tell);
  void look_around();
  void ask_views();
  void compare(const std::string& member, const SharedSettings& theirs);
  void review_certificates();

  const Duration promise_limit_;
  SharedSettings settings_;
  const Tell tell_;
  TlsIdentityFiles files_;
  std::optional<PeerClient> client_;
  CancelSearch cancels_;
  PeerServer server_;
  std::map<std::string, std::string> addresses_;
  std::map<std::string, SeenView> seen_;
  std::set<std::string> asked_;  // members that have not answered yet
  std::function<void()> on_news_ = [] {};
  bool closely_ = false;
  std::map<std::string, std::vector<std::string>> differences_;
  Timer look_;
  Timer certificates_;
};

}  // namespace pgkeel
