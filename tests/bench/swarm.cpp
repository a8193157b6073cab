#include "tests/bench/swarm.h"

#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace pgkeel::test {
namespace {

constexpr std::uint32_t kSources = 120;
constexpr std::uint32_t kFirstSource = 0x7F000101;  // 127.0.1.1
constexpr std::size_t kEventsAtOnce = 512;

}  // namespace

Swarm::Swarm(std::uint16_t port, std::size_t size, OnEvent on_event)
    : port_(port), on_event_(std::move(on_event)), epoll_(::epoll_create1(EPOLL_CLOEXEC)), slots_(size) {}

Swarm::~Swarm() {
  for (std::size_t number = 0; number < slots_.size(); ++number) reset(number);
}

void Swarm::open(std::size_t number, std::string first_words) {
  Slot& slot = slots_[number];
  slot.descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (slot.descriptor < 0) throw std::runtime_error("no more descriptors for the swarm");
  ++open_count_;
  ++slot.generation;
  slot.connecting = true;
  slot.first_words = std::move(first_words);
  slot.heard.clear();
  slot.error = 0;
  const int on = 1;
  setsockopt(slot.descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  setsockopt(slot.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(kFirstSource + opened_++ % kSources);
  if (::bind(slot.descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("no address for the swarm");
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port_);
  if (::connect(slot.descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    end(number, errno);
    return;
  }
  watch(number, EPOLLOUT, EPOLL_CTL_ADD);
}

void Swarm::write(std::size_t number, std::string_view bytes) {
  if (bytes.empty()) return;
  const ssize_t count = ::send(slots_[number].descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (count != static_cast<ssize_t>(bytes.size())) end(number, count < 0 ? errno : ENOBUFS);
}

void Swarm::reset(std::size_t number) {
  Slot& slot = slots_[number];
  if (slot.descriptor < 0) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(slot.descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(std::exchange(slot.descriptor, -1));
  --open_count_;
}

void Swarm::watch(std::size_t number, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{slots_[number].generation} << 32 | number;
  if (::epoll_ctl(epoll_.number(), operation, slots_[number].descriptor, &event) != 0)
    throw std::runtime_error("epoll takes no more");
}

void Swarm::turn(std::chrono::milliseconds at_most) {
  std::array<epoll_event, kEventsAtOnce> events;
  const int count =
      ::epoll_wait(epoll_.number(), events.data(), static_cast<int>(events.size()), static_cast<int>(at_most.count()));
  for (int at = 0; at < count; ++at) {
    const epoll_event& event = events[static_cast<std::size_t>(at)];
    const auto number = static_cast<std::size_t>(event.data.u64 & 0xFFFFFFFFU);
    const Slot& slot = slots_[number];
    if (slot.descriptor >= 0 && slot.generation == event.data.u64 >> 32) take(number, event.events);
  }
}

void Swarm::take(std::size_t number, std::uint32_t events) {
  Slot& slot = slots_[number];
  if (slot.connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(slot.descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return end(number, error);
    slot.connecting = false;
    watch(number, EPOLLIN, EPOLL_CTL_MOD);
    const std::uint32_t generation = slot.generation;
    write(number, std::exchange(slot.first_words, {}));
    if (slot.descriptor >= 0 && slot.generation == generation) on_event_(number, Event::kConnected);
    return;
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  std::array<char, 4096> buffer;
  const ssize_t count = ::recv(slot.descriptor, buffer.data(), buffer.size(), 0);
  if (count > 0) {
    slot.heard.append(buffer.data(), static_cast<std::size_t>(count));
    on_event_(number, Event::kHeard);
    return;
  }
  if (count < 0 && errno == EAGAIN) return;
  end(number, count == 0 ? 0 : errno);
}

void Swarm::end(std::size_t number, int error) {
  slots_[number].error = error;
  reset(number);
  on_event_(number, Event::kEnded);
}

}  // namespace pgkeel::test
