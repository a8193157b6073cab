// The yardstick of the throughput benchmark: a proxy that does nothing but read what one side sends, up to 64 KiB, and
// write it to the other. It knows no protocol, no time-outs, no route; what it costs is what the kernel costs.
//   bench_pump PORT SERVER_PORT [THREADS]     both ports on 127.0.0.1; a thread for each core, where not given
#include <array>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

struct Pair;

// One end of a pair. What its socket has not taken yet is in `waiting`; meanwhile the other end is not read from.
struct End {
  int descriptor = -1;
  Pair* pair = nullptr;
  End* other = nullptr;
  std::string waiting;
};

struct Pair {
  std::array<End, 2> ends;
  bool closed = false;
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void send_at_once(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

class Pump {
 public:
  Pump() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  // From the accepting thread; epoll_ctl may be called while another one waits.
  void take(int client, int server) const {
    auto* pair = new Pair;
    for (std::size_t at = 0; at < 2; ++at) {
      End& end = pair->ends[at];
      end.descriptor = at == 0 ? client : server;
      end.pair = pair;
      end.other = &pair->ends[1 - at];
    }
    for (End& end : pair->ends) watch(end, EPOLLIN, EPOLL_CTL_ADD);
  }

  void run() {
    std::array<epoll_event, 256> events{};
    std::vector<std::unique_ptr<Pair>> done;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int at = 0; at < count; ++at) {
        const epoll_event& event = events[static_cast<std::size_t>(at)];
        End& end = *static_cast<End*>(event.data.ptr);
        if (end.pair->closed) continue;
        const bool lives = (event.events & EPOLLOUT) != 0 ? flush(end) : pass_on(end);
        if (lives) continue;
        end.pair->closed = true;
        for (const End& ended : end.pair->ends) ::close(ended.descriptor);
        done.emplace_back(end.pair);
      }
      done.clear();
    }
  }

 private:
  void watch(End& end, unsigned events, int operation) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &end;
    if (epoll_ctl(epoll_, operation, end.descriptor, &event) != 0) fail("epoll_ctl");
  }

  bool pass_on(End& from) {
    const ssize_t size = ::recv(from.descriptor, buffer_->data(), buffer_->size(), MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    End& to = *from.other;
    const ssize_t sent =
        ::send(to.descriptor, buffer_->data(), static_cast<std::size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent == size) return true;
    const std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    to.waiting.assign(buffer_->data() + taken, static_cast<std::size_t>(size) - taken);
    watch(from, 0, EPOLL_CTL_MOD);
    watch(to, EPOLLOUT, EPOLL_CTL_MOD);
    return true;
  }

  bool flush(End& to) {
    const ssize_t sent = ::send(to.descriptor, to.waiting.data(), to.waiting.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    to.waiting.erase(0, static_cast<std::size_t>(sent));
    if (!to.waiting.empty()) return true;
    watch(to, EPOLLIN, EPOLL_CTL_MOD);
    watch(*to.other, EPOLLIN, EPOLL_CTL_MOD);
    return true;
  }

  int epoll_;
  std::unique_ptr<std::array<char, 65536>> buffer_ = std::make_unique<std::array<char, 65536>>();
};

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count < 3 || argument_count > 4) {
    std::cerr << "usage: bench_pump PORT SERVER_PORT [THREADS]\n";
    return 2;
  }
  const sockaddr_in own = loopback(std::atoi(arguments[1]));
  const sockaddr_in server = loopback(std::atoi(arguments[2]));
  const unsigned threads =
      argument_count > 3 ? static_cast<unsigned>(std::atoi(arguments[3])) : std::thread::hardware_concurrency();

  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) fail("bind");
  if (::listen(listener, 4096) != 0) fail("listen");

  std::vector<std::unique_ptr<Pump>> pumps;
  for (unsigned count = 0; count < std::max(threads, 1U); ++count) {
    pumps.push_back(std::make_unique<Pump>());
    std::thread([&pump = *pumps.back()] { pump.run(); }).detach();
  }
  for (std::size_t turn = 0;; ++turn) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int to_server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(to_server, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) {
      ::close(client);
      ::close(to_server);
      continue;
    }
    send_at_once(client);
    send_at_once(to_server);
    pumps[turn % pumps.size()]->take(client, to_server);
  }
}
