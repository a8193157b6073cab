// Messages with descriptors between two processes of this machine: a Unix socket of type SOCK_SEQPACKET (unix(7)), on
// which each message arrives whole, or not at all. What comes is only as good as its sender: see PeerOfLink.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/descriptor.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/timer.h"

namespace pgkeel {

class Loop;

struct LinkMessage {
  std::string text;
  std::vector<Descriptor> descriptors;
  std::vector<int> borrowed = {};  // to send behind these; they stay the sender's, and open until it is sent
};

constexpr std::size_t kLinkMessageBytesMax = 65536;
constexpr std::size_t kLinkDescriptorsMax = 4;  // of one message

// Who is at the other end, as the kernel says (SO_PEERCRED): of a link that was connected, the process that listened.
struct PeerOfLink {
  pid_t process = 0;
  uid_t user = 0;
};
Result<PeerOfLink> peer_of_link(const Descriptor& link);
// Our own user, or root: everybody else could not do to us what a message may ask for.
bool is_trusted(const PeerOfLink& peer);

// Connects to the socket `name` in `folder`, however long its path is. Never blocks for long.
Result<Descriptor> connect_link(const std::string& folder, const std::string& name);

// Blocking, any thread: for a process that has nothing else to do yet.
Result<void> send_and_wait(const Descriptor& link, const LinkMessage& message);
Result<LinkMessage> receive_and_wait(const Descriptor& link, Duration limit);

// The same on a loop. Loop's thread only; it may be destroyed inside its callbacks.
class DescriptorLink {
 public:
  // `on_end`: the other end is gone, or sent what is no message, or a message of ours cannot be sent; called once, not
  // from inside send(), and nothing comes after it.
  DescriptorLink(Loop& loop, Descriptor socket, std::function<void(LinkMessage)> on_message,
                 std::function<void()> on_end);
  ~DescriptorLink();
  DescriptorLink(const DescriptorLink&) = delete;
  DescriptorLink& operator=(const DescriptorLink&) = delete;

  // In order; what the socket does not take now waits here, and its descriptors stay open until it is sent.
  void send(LinkMessage message);
  [[nodiscard]] bool all_sent() const { return waiting_.empty(); }

  [[nodiscard]] const Descriptor& socket() const { return socket_; }
  // Nothing is read any more: whoever has a copy of the socket gets what comes.
  void stop_reading();
  void read_again();

 private:
  void ready(FdInterest what);
  void receive();
  void flush();
  void fail();
  void update_interest();

  Descriptor socket_;
  std::function<void(LinkMessage)> on_message_;
  std::function<void()> on_end_;
  std::deque<LinkMessage> waiting_;
  bool ended_ = false;
  bool is_unusable_ = false;  // one of ours was lost
  bool reads_ = true;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<FdWatch> watch_;
  Timer again_;  // behind a message that could not be sent
};

// Where others connect to. Loop's thread only.
class LinkListener {
 public:
  // The socket `name` in `folder`, which only its owner may enter; one that is there already is replaced: the caller
  // holds the lock of the folder.
  static Result<std::unique_ptr<LinkListener>> open(Loop& loop, const std::string& folder, const std::string& name,
                                                    std::function<void(Descriptor)> on_link);
  LinkListener(const LinkListener&) = delete;
  LinkListener& operator=(const LinkListener&) = delete;

 private:
  LinkListener(Loop& loop, Descriptor socket, std::function<void(Descriptor)> on_link);
  void accept_all();

  Descriptor socket_;
  std::function<void(Descriptor)> on_link_;
  FdWatch watch_;
};

}  // namespace pgkeel
