#include "proxy/io/descriptor_link.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <utility>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

constexpr int kMessagesAtOnce = 64;  // then others on the loop have their turn
constexpr int kBacklog = 4;
constexpr Duration kShortagePause = std::chrono::milliseconds(10);

// Of memory, or of descriptors that may be under way at a time: it passes, and nothing tells when.
bool is_shortage(int problem) {
  return problem == ENOBUFS || problem == ENOMEM || problem == ETOOMANYREFS;
}

Error system_error(const std::string& what) {
  return Error{what + ": " + std::strerror(errno)};
}

// A path by way of the folder's descriptor: a Unix socket's own may have 107 bytes only.
struct SocketPath {
  Descriptor folder;
  sockaddr_un address{};
};

Result<SocketPath> path_in(const std::string& folder, const std::string& name) {
  SocketPath path;
  path.folder = Descriptor(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!path.folder.is_open()) return system_error(folder + " cannot be opened");
  const std::string text = "/proc/self/fd/" + std::to_string(path.folder.number()) + "/" + name;
  if (text.size() >= sizeof path.address.sun_path) return Error{"the name " + name + " is too long for a socket"};
  path.address.sun_family = AF_UNIX;
  std::memcpy(path.address.sun_path, text.c_str(), text.size() + 1);
  return path;
}

// The union has the alignment that the kernel's macros expect.
union ControlBuffer {
  cmsghdr header;
  std::array<char, CMSG_SPACE(kLinkDescriptorsMax * sizeof(int))> bytes;
};

// 0, or why not.
int send_now(int socket, const LinkMessage& message) {
  iovec text{const_cast<char*>(message.text.data()), message.text.size()};
  ControlBuffer control{};
  msghdr header{};
  header.msg_iov = &text;
  header.msg_iovlen = 1;
  std::vector<int> numbers;
  for (const auto& descriptor : message.descriptors) numbers.push_back(descriptor.number());
  numbers.insert(numbers.end(), message.borrowed.begin(), message.borrowed.end());
  if (numbers.size() > kLinkDescriptorsMax) return EMSGSIZE;
  if (!numbers.empty()) {
    const std::size_t bytes = numbers.size() * sizeof(int);
    header.msg_control = &control;
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(rights), numbers.data(), bytes);
  }
  return ::sendmsg(socket, &header, MSG_NOSIGNAL) < 0 ? errno : 0;
}

enum class Received { kMessage, kNothingYet, kEnd };

Received receive_now(int socket, LinkMessage& message) {
  message.text.resize(kLinkMessageBytesMax);
  iovec text{message.text.data(), message.text.size()};
  ControlBuffer control{};
  msghdr header{};
  header.msg_iov = &text;
  header.msg_iovlen = 1;
  header.msg_control = &control;
  header.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (size < 0) return errno == EAGAIN || errno == EINTR ? Received::kNothingYet : Received::kEnd;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof number, sizeof number);
      message.descriptors.emplace_back(number);
    }
  }
  // An empty one is the end of the link; one that was cut short is from nobody whom we know.
  if (size == 0 || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Received::kEnd;
  message.text.resize(static_cast<std::size_t>(size));
  return Received::kMessage;
}

}  // namespace

Result<PeerOfLink> peer_of_link(const Descriptor& link) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(link.number(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return system_error("nobody knows who is at the other end of the link");
  return PeerOfLink{.process = credentials.pid, .user = credentials.uid};
}

bool is_trusted(const PeerOfLink& peer) {
  return peer.user == ::geteuid() || peer.user == 0;
}

Result<Descriptor> connect_link(const std::string& folder, const std::string& name) {
  const auto path = path_in(folder, name);
  if (!path) return path.error();
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return system_error("no socket can be had");
  if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&path->address), sizeof path->address) != 0)
    return system_error(folder + "/" + name + " cannot be connected to");
  return socket;
}

Result<void> send_and_wait(const Descriptor& link, const LinkMessage& message) {
  while (true) {
    const int problem = send_now(link.number(), message);
    if (problem == 0) return {};
    if (problem == EINTR) continue;
    if (is_shortage(problem)) {
      ::poll(nullptr, 0, static_cast<int>(to_milliseconds(kShortagePause)));
      continue;
    }
    if (problem != EAGAIN) return Error{std::string("the link is broken: ") + std::strerror(problem)};
    pollfd writable{link.number(), POLLOUT, 0};
    ::poll(&writable, 1, -1);
  }
}

Result<LinkMessage> receive_and_wait(const Descriptor& link, Duration limit) {
  const Instant since = monotonic_now();
  while (true) {
    LinkMessage message;
    switch (receive_now(link.number(), message)) {
      case Received::kMessage:
        return message;
      case Received::kEnd:
        return Error{"the link was closed"};
      case Received::kNothingYet:
        break;
    }
    const Duration left = limit - (monotonic_now() - since);
    if (left <= Duration::zero()) return Error{"no message within " + format_duration(limit)};
    pollfd readable{link.number(), POLLIN, 0};
    ::poll(&readable, 1, static_cast<int>(to_milliseconds(left)) + 1);
  }
}

DescriptorLink::DescriptorLink(Loop& loop, Descriptor socket, std::function<void(LinkMessage)> on_message,
                               std::function<void()> on_end)
    : socket_(std::move(socket)),
      on_message_(std::move(on_message)),
      on_end_(std::move(on_end)),
      watch_(std::make_unique<FdWatch>(loop, socket_.number(), [this](FdInterest what) { ready(what); })),
      again_(loop, [this] {
        if (is_unusable_)
          fail();
        else
          flush();
      }) {
  update_interest();
}

DescriptorLink::~DescriptorLink() = default;

void DescriptorLink::send(LinkMessage message) {
  if (ended_ || is_unusable_) return;
  waiting_.push_back(std::move(message));
  if (waiting_.size() == 1) flush();
}

void DescriptorLink::stop_reading() {
  reads_ = false;
  update_interest();
}

void DescriptorLink::read_again() {
  reads_ = true;
  update_interest();
}

void DescriptorLink::ready(FdInterest what) {
  const std::weak_ptr<bool> alive = alive_;
  if (what.writable) flush();
  if (!alive.expired() && what.readable && reads_ && !ended_) receive();
}

void DescriptorLink::receive() {
  const std::weak_ptr<bool> alive = alive_;
  for (int count = 0; count < kMessagesAtOnce; ++count) {
    LinkMessage message;
    switch (receive_now(socket_.number(), message)) {
      case Received::kNothingYet:
        return;
      case Received::kEnd:
        fail();
        return;
      case Received::kMessage: {
        const auto on_message = on_message_;  // it may destroy us
        on_message(std::move(message));
        if (alive.expired() || !reads_ || ended_) return;
        break;
      }
    }
  }
}

void DescriptorLink::flush() {
  while (!waiting_.empty()) {
    const int problem = send_now(socket_.number(), waiting_.front());
    if (problem == EAGAIN || problem == EINTR) break;
    if (is_shortage(problem)) {
      again_.start_once(kShortagePause);
      break;
    }
    // Who is gone is found at the end of what it has sent. Else no message may be left out: what came behind it would
    // be taken for all there is.
    const bool is_gone = problem == EPIPE || problem == ECONNRESET;
    if (problem != 0 && !is_gone) {
      is_unusable_ = true;
      waiting_.clear();
      again_.start_once(Duration::zero());
      break;
    }
    waiting_.pop_front();
  }
  update_interest();
}

void DescriptorLink::fail() {
  ended_ = true;
  waiting_.clear();
  again_.stop();
  update_interest();
  if (const auto ended = std::exchange(on_end_, nullptr)) ended();
}

void DescriptorLink::update_interest() {
  watch_->set_interest({.readable = reads_ && !ended_, .writable = !waiting_.empty() && !ended_ && !again_.active()});
}

Result<std::unique_ptr<LinkListener>> LinkListener::open(Loop& loop, const std::string& folder, const std::string& name,
                                                         std::function<void(Descriptor)> on_link) {
  const auto path = path_in(folder, name);
  if (!path) return path.error();
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return system_error("no socket can be had");
  if (::unlink(path->address.sun_path) != 0 && errno != ENOENT)
    return system_error(folder + "/" + name + " cannot be removed");
  if (::bind(socket.number(), reinterpret_cast<const sockaddr*>(&path->address), sizeof path->address) != 0 ||
      ::chmod(path->address.sun_path, 0600) != 0 || ::listen(socket.number(), kBacklog) != 0) {
    return system_error(folder + "/" + name + " cannot be made");
  }
  return std::unique_ptr<LinkListener>(new LinkListener(loop, std::move(socket), std::move(on_link)));
}

LinkListener::LinkListener(Loop& loop, Descriptor socket, std::function<void(Descriptor)> on_link)
    : socket_(std::move(socket)),
      on_link_(std::move(on_link)),
      watch_(loop, socket_.number(), [this](FdInterest) { accept_all(); }) {
  watch_.set_interest({.readable = true});
}

void LinkListener::accept_all() {
  while (true) {
    Descriptor link(::accept4(socket_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!link.is_open()) return;
    on_link_(std::move(link));
  }
}

}  // namespace pgkeel
