#include "proxy/http/http_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/http/http_door.h"
#include "proxy/io/clock.h"
#include "proxy/io/patient_bind.h"
#include "proxy/io/resolver.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

// With those that have a thread, these stay below what descriptor_plan.cpp keeps back for them.
constexpr std::size_t kWithoutThreadMax = 16;

constexpr Duration kIdleLimit = 1s;      // between two requests
constexpr Duration kRequestLimit = 2s;   // from its first byte to its last
constexpr Duration kResponseLimit = 5s;  // likewise
constexpr Duration kDrainLimit = 200ms;
constexpr Duration kGrace = 30ms;  // so long a thread waits for a connection although others need it
constexpr Duration kStopLook = 50ms;
constexpr int kLookMilliseconds = 5;  // how often it looks whether they do
constexpr std::size_t kRequestsPerConnection = 1000;
constexpr std::size_t kHeadBytesMax = 65536;  // of a request: cpp-httplib counts those of a line, and keeps any number

// Threads, and connections that wait for one.
class ThreadQueue : public httplib::TaskQueue {
  using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue({}));  // void; bool since version 0.14

 public:
  ThreadQueue(std::size_t threads, HttpServer::Crowd& crowd) : crowd_(crowd) {
    while (threads_.size() < threads) threads_.emplace_back([this] { run(); });
  }

  Enqueued enqueue(std::function<void()> serve) override {
    std::unique_lock lock(mutex_);
    // The others wait in the kernel's queue, and take no descriptor.
    const auto has_room = [this] { return waiting_.size() < kWithoutThreadMax || crowd_.stopping; };
    while (!room_.wait_for(lock, kStopLook, has_room)) {
    }
    waiting_.push_back(std::move(serve));
    count_waiting();
    wakeup_.notify_one();
    return static_cast<Enqueued>(true);
  }

  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);  // nobody is between his look at `stopping` and his wait
    }
    wakeup_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      wakeup_.wait(lock, [this] { return !waiting_.empty() || crowd_.stopping; });
      --idle_;
      if (waiting_.empty()) return;
      const auto serve = std::move(waiting_.front());
      waiting_.pop_front();
      count_waiting();
      room_.notify_one();
      lock.unlock();
      serve();
      lock.lock();
    }
  }

  void count_waiting() { crowd_.without_thread = waiting_.size() > idle_ ? waiting_.size() - idle_ : 0; }

  HttpServer::Crowd& crowd_;
  std::mutex mutex_;                // guards all below but threads_
  std::condition_variable wakeup_;  // of a thread
  std::condition_variable room_;    // in waiting_
  std::deque<std::function<void()>> waiting_;
  std::size_t idle_ = 0;
  std::vector<std::thread> threads_;
};

class LimitedStream : public httplib::Stream {
 public:
  LimitedStream(const HttpGuest& guest, const HttpServer::Crowd& crowd, std::size_t body_bytes_max)
      : socket_(guest.socket.number()),
        crowd_(crowd),
        tls_(guest.tls.get()),
        request_bytes_max_(kHeadBytesMax + body_bytes_max) {}
  ~LimitedStream() override {
    if (tls_ != nullptr) tls_->close_notify();
  }
  LimitedStream(const LimitedStream&) = delete;
  LimitedStream& operator=(const LimitedStream&) = delete;

  // What is not read when a socket is closed makes the kernel reset it, and the peer lose the answer.
  void drain() {
    ::shutdown(socket_, SHUT_WR);
    begin(kDrainLimit);
    while (wait(POLLIN) && ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT) > 0) {
    }
  }

  // False: none has begun, and none is waited for any longer.
  bool wait_for_request() {
    if (crowd_.stopping) return false;
    if (request_bytes_ > request_bytes_max_) {  // what follows is the rest of that one, and no request
      drain();
      return false;
    }
    begin(kIdleLimit);
    if (!has_bytes() && !wait(POLLIN)) return false;
    begin(kRequestLimit);
    request_bytes_ = 0;
    responding_ = false;
    return true;
  }

  [[nodiscard]] bool is_readable() const override { return has_bytes() || wait(POLLIN); }
  [[nodiscard]] bool is_writable() const override { return wait(POLLOUT); }

  ssize_t read(char* into, std::size_t size) override {
    if (buffered() == 0) {
      const ssize_t count = tls_ != nullptr ? fill_from_tls() : fill_from_socket();
      if (count <= 0) return count;
      read_at_ = 0;
      end_ = static_cast<std::size_t>(count);
    }
    const std::size_t count = std::min(size, buffered());
    request_bytes_ += count;
    if (request_bytes_ > request_bytes_max_) return -1;
    std::copy_n(buffer_.data() + read_at_, count, into);
    read_at_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* bytes, std::size_t size) override {
    if (!std::exchange(responding_, true)) begin(kResponseLimit);
    if (tls_ != nullptr) return write_to_tls(bytes, size);
    while (wait(POLLOUT)) {
      const ssize_t count = ::send(socket_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count >= 0 || (errno != EAGAIN && errno != EINTR)) return count;
    }
    return -1;
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override { tell(::getpeername, ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { tell(::getsockname, ip, port); }
  [[nodiscard]] socket_t socket() const override { return socket_; }

 private:
  [[nodiscard]] std::size_t buffered() const { return end_ - read_at_; }
  [[nodiscard]] bool has_bytes() const { return buffered() > 0 || (tls_ != nullptr && tls_->has_bytes()); }

  ssize_t fill_from_socket() {
    return wait(POLLIN) ? ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT) : -1;
  }

  ssize_t fill_from_tls() {
    while (true) {
      const ssize_t count = tls_->read(buffer_.data(), buffer_.size());
      if (count >= 0 || !wait_for(tls_->need())) return count;
    }
  }

  ssize_t write_to_tls(const char* bytes, std::size_t size) {
    while (true) {
      const ssize_t count = tls_->write(bytes, size);
      if (count >= 0 || !wait_for(tls_->need())) return count;
    }
  }

  [[nodiscard]] bool wait_for(TlsSession::Need need) const {
    if (need == TlsSession::Need::kEnd) return false;
    return wait(need == TlsSession::Need::kWrite ? POLLOUT : POLLIN);
  }

  void begin(Duration limit) {
    began_ = monotonic_now();
    limit_ = limit;
  }

  // Where the server ends, only what can go on at once: who was asked something answers it.
  [[nodiscard]] bool wait(short events) const {
    while (true) {
      const bool stopping = crowd_.stopping;
      const Duration waited = monotonic_now() - began_;
      // Who sends little by little is never waited for long. An answer may take its time, as long as it comes on.
      if (events == POLLIN && waited >= limit_) return false;
      pollfd watched{.fd = socket_, .events = events, .revents = 0};
      const int ready = ::poll(&watched, 1, stopping ? 0 : kLookMilliseconds);
      if (ready > 0) return true;
      if (stopping || (ready < 0 && errno != EINTR)) return false;
      if (waited >= limit_ || (waited >= kGrace && crowd_.without_thread > 0)) return false;
    }
  }

  template <class Ask>
  void tell(Ask ask, std::string& ip, int& port) const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (ask(socket_, generic, &size) != 0) return;
    if (::getnameinfo(generic, size, host.data(), host.size(), service.data(), service.size(),
                      NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
      return;
    }
    ip = host.data();
    std::from_chars(service.data(), service.data() + std::strlen(service.data()), port);
  }

  const int socket_;
  const HttpServer::Crowd& crowd_;
  TlsSession* const tls_;  // none: plain HTTP
  Instant began_{};
  Duration limit_{};
  const std::size_t request_bytes_max_;
  std::size_t request_bytes_ = 0;
  bool responding_ = false;
  std::array<char, 4096> buffer_{};
  std::size_t read_at_ = 0;
  std::size_t end_ = 0;
};

}  // namespace

HttpServer::HttpServer(std::size_t threads, std::shared_ptr<const TlsAcceptor> tls) : tls_(std::move(tls)) {
  new_task_queue = [this, threads] { return new ThreadQueue(threads, crowd_); };
}

Result<Socket> HttpServer::listen_at(const std::string& key, const HostPort& address, Duration patience) {
  const std::string where = key + " " + format_host_port(address);
  const auto addresses = resolve_for_binding(address);
  if (!addresses) return Error{where + ": " + addresses.error().message};
  auto socket = bind_once_free(addresses->front(), Socket::FamilyShare::kBoth, patience);
  // Answers go out in two pieces, and the second would wait for the first one's acknowledgement, which the other side
  // delays by 40 ms: longer than a fence takes.
  if (socket) socket->set_link_options();
  const auto listening = socket ? socket->start_listening() : Result<void, SystemError>(socket.error());
  if (!listening) return Error{where + " cannot be bound: " + describe_system_error(listening.error().code)};
  return std::move(*socket);
}

void HttpServer::use(std::shared_ptr<const TlsAcceptor> tls) {
  const std::lock_guard lock(tls_mutex_);
  tls_ = std::move(tls);
}

std::shared_ptr<const TlsAcceptor> HttpServer::tls() const {
  const std::lock_guard lock(tls_mutex_);
  return tls_;
}

void HttpServer::serve(Socket listening) {
  svr_sock_ = listening.descriptor();  // what streams of answers look at
  const std::unique_ptr<httplib::TaskQueue> threads(new_task_queue());
  {
    HttpDoor door(
        listening.descriptor(), [this] { return tls(); },
        [this, &threads](HttpGuest guest) {
          // A task must be copyable, and a socket is not.
          const auto shared = std::make_shared<HttpGuest>(std::move(guest));
          threads->enqueue([this, shared] { serve_guest(std::move(*shared)); });
        });
    while (!crowd_.stopping) door.turn(kStopLook);
  }
  svr_sock_ = INVALID_SOCKET;
  threads->shutdown();
}

void HttpServer::stop_serving() {
  crowd_.stopping = true;
}

void HttpServer::serve_guest(HttpGuest guest) {
  {
    LimitedStream stream(guest, crowd_, payload_max_length_);
    bool closed = false;
    for (std::size_t left = kRequestsPerConnection; left > 0 && !closed && stream.wait_for_request(); --left) {
      const bool is_last = left == 1 || guest.acceptor != tls();
      if (!process_request(stream, is_last, closed, nullptr)) break;
    }
  }
  ::shutdown(guest.socket.number(), SHUT_RDWR);
}

}  // namespace pgkeel
