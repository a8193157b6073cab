#include "replication/peers/peer_server.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include <httplib.h>

#include "proxy/http/http_server.h"
#include "proxy/io/socket.h"
#include "proxy/io/wakeup.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 8;
constexpr std::size_t kRequestBytesMax = 1U << 18;
constexpr Duration kLoopAnswersWithin = 1s;
constexpr Duration kPortPatience = 500ms;  // of a process that was taken over from, and dies
constexpr Duration kCancelTakes = 6s;      // more than a cancel forwarder does

std::string path(std::string_view rest) {
  return std::string(kPeerPathPrefix) + std::string(rest);
}

struct Answer {
  int status = 200;
  std::string json;
};

// One answer that a server's thread waits for, and the loop gives. Whichever goes first leaves it to the other.
class Slot {
 public:
  void give(Answer answer) {
    {
      const std::lock_guard lock(mutex_);
      if (answer_) return;
      answer_ = std::move(answer);
    }
    given_.notify_one();
  }

  Answer wait(Duration limit) {
    std::unique_lock lock(mutex_);
    if (!given_.wait_for(lock, limit, [this] { return answer_.has_value(); }))
      answer_ = Answer{503, peer_error_json("this pgkeel is not quick enough to answer")};
    return *answer_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable given_;
  std::optional<Answer> answer_;
};

}  // namespace

struct PeerServer::Inner {
  Inner(Loop& loop, Answers functions) : answers(std::move(functions)), door(loop) {}

  // Has the loop's thread do `work`, which gives the answer.
  void on_loop(httplib::Response& response, Duration limit, std::function<void(const std::shared_ptr<Slot>&)> work) {
    const auto slot = std::make_shared<Slot>();
    {
      const std::lock_guard lock(mutex);
      if (stopping) return reply(response, {503, peer_error_json("this pgkeel stops")});
      std::erase_if(waiting, [](const auto& each) { return each.expired(); });
      waiting.push_back(slot);
    }
    door.post([slot, work = std::move(work)] { work(slot); });
    reply(response, slot->wait(limit));
  }

  static void reply(httplib::Response& response, const Answer& answer) {
    response.status = answer.status;
    response.set_content(answer.json, "application/json");
  }

  void add_routes() {
    server->Post(path("/promise"), [this](const httplib::Request& request, httplib::Response& response) {
      const auto asked = parse_promise_request(request.body);
      if (!asked) return reply(response, {400, peer_error_json(asked.error().message)});
      on_loop(response, kLoopAnswersWithin, [this, asked = *asked](const auto& slot) {
        const auto promise = answers.promise(asked);
        slot->give(promise ? Answer{200, to_json(*promise)} : Answer{409, peer_error_json("no promise is given now")});
      });
    });
    server->Get(path("/view"), [this](const httplib::Request&, httplib::Response& response) {
      on_loop(response, kLoopAnswersWithin, [this](const auto& slot) { slot->give({200, to_json(answers.view())}); });
    });
    server->Post(path("/cancel"), [this](const httplib::Request& request, httplib::Response& response) {
      const auto cancel = parse_peer_cancel(request.body);
      if (!cancel) return reply(response, {400, peer_error_json(cancel.error().message)});
      on_loop(response, kCancelTakes, [this, cancel = *cancel](const auto& slot) {
        answers.cancel(cancel, [slot](bool is_forwarded) { slot->give({200, cancel_answer_json(is_forwarded)}); });
      });
    });
    server->set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) reply(response, {response.status, peer_error_json("there is no such call")});
    });
  }

  const Answers answers;
  Wakeup door;
  std::unique_ptr<HttpServer> server;
  std::thread thread;
  std::uint16_t port = 0;
  std::mutex mutex;  // guards what follows
  std::vector<std::weak_ptr<Slot>> waiting;
  bool stopping = false;
};

PeerServer::PeerServer(Loop& loop, Answers answers) : inner_(std::make_unique<Inner>(loop, std::move(answers))) {}

PeerServer::~PeerServer() {
  {
    const std::lock_guard lock(inner_->mutex);
    inner_->stopping = true;
    for (const auto& each : inner_->waiting) {
      if (const auto slot = each.lock()) slot->give({503, peer_error_json("this pgkeel stops")});
    }
  }
  if (!inner_->thread.joinable()) return;
  inner_->server->stop_serving();
  inner_->thread.join();
}

Result<void> PeerServer::listen(const HostPort& address, std::shared_ptr<const TlsAcceptor> tls) {
  auto socket = HttpServer::listen_at("[coordination] peer.listen", address, kPortPatience);
  if (!socket) return socket.error();
  inner_->server = std::make_unique<HttpServer>(kThreads, std::move(tls));
  inner_->server->set_payload_max_length(kRequestBytesMax);
  inner_->add_routes();
  inner_->port = socket->bound_port();
  inner_->thread = std::thread(
      [inner = inner_.get(), descriptor = socket->release()] { inner->server->serve(Socket::take(descriptor)); });
  return {};
}

void PeerServer::use_certificate(std::shared_ptr<const TlsAcceptor> tls) {
  inner_->server->use(std::move(tls));
}

std::uint16_t PeerServer::port() const {
  return inner_->port;
}

}  // namespace pgkeel
