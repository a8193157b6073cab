// The process that runs and is taken over from: it offers, gives, and, once the other one decides, obeys it until its
// own sessions have ended. Where the other one fails before it serves, this one goes on. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "proxy/base/ip_address.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/handover/handover_message.h"
#include "proxy/io/descriptor_link.h"
#include "proxy/io/detached_process.h"
#include "proxy/io/fd_watch.h"
#include "proxy/io/timer.h"

namespace pgkeel {

class Loop;

// How long each step may take.
struct HandoverLimits {
  Duration hello = std::chrono::seconds(15);  // from its start to its hello
  Duration start = std::chrono::seconds(30);  // from its hello to "we could serve"
  Duration give = std::chrono::seconds(10);   // while nobody decides
  Duration serve = std::chrono::seconds(10);  // while nobody serves, although another process decides
  Duration end = std::chrono::seconds(2);     // for a process to end that has closed its link
};

class HandoverGiver {
 public:
  // What the application does; each is called on the control thread.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Empty: it may be now.
    [[nodiscard]] virtual std::string why_no_handover() const = 0;
    // Of that, what is not over in a moment.
    [[nodiscard]] virtual std::string why_no_handover_soon() const = 0;
    [[nodiscard]] virtual std::vector<NamedSocket> listening_sockets() const = 0;
    // Does what must be of now when it gives up, and waits for what is over in a moment. `ready` comes later, however
    // that went.
    virtual void get_ready(std::function<void()> ready) = 0;
    // Decides nothing and accepts nobody any more, then calls `given` with what the other process needs. Descriptors
    // that are borrowed in there stay open until take_back() or let_go(). `given` is not called from inside this call.
    virtual void give_up(pid_t successor, std::function<void(std::vector<LinkMessage>)> given) = 0;
    // The other process is gone, or refused: goes on as before give_up(). `released`: let_go() was called meanwhile.
    virtual void take_back(bool released) = 0;
    // The other one has all. Sessions may follow it by send().
    virtual void let_go() = 0;
    virtual void successor_serves(pid_t successor) = 0;
    virtual void publish_route(const std::string& cluster, Route route, std::function<void()> applied,
                               std::function<void()> drained) = 0;
    virtual void set_write_deadline(const std::string& cluster, Instant until) = 0;
    // This address leaves the host, and those who connected to it are to be told.
    virtual void end_clients_of(const IpAddress& address) = 0;
    // The process that decides is ended: every session here ends, then this process. `ended`: no byte of a client
    // reaches a server any more.
    virtual void end_sessions(const std::string& why, std::function<void()> ended) = 0;
    // False: it is not for us.
    [[nodiscard]] virtual bool may_follow(const std::string& cluster, const Route& route) const = 0;
    // Nobody tells any more where sessions may lead: they are to be closed, and this process ends.
    virtual void end(const std::string& why) = 0;
    virtual void handover_failed(const std::string& why) = 0;
  };

  // The socket in the state directory, whose lock we hold, is made at once.
  static Result<std::unique_ptr<HandoverGiver>> open(Loop& loop, const std::string& state_directory, Owner& owner,
                                                     const HandoverLimits& limits = {});
  HandoverGiver(const HandoverGiver&) = delete;
  HandoverGiver& operator=(const HandoverGiver&) = delete;

  // Starts the process that takes over. What becomes of it is told by handover_failed(), or it does.
  Result<void> start_successor(const std::vector<std::string>& arguments);

  void send(HandoverMessage message);
  // Another process decides.
  [[nodiscard]] bool is_former() const { return stage_ == Stage::kLetGo || stage_ == Stage::kFormer; }
  [[nodiscard]] bool is_under_way() const { return stage_ != Stage::kNone || starting_ != nullptr; }

 private:
  enum class Stage {
    kNone,
    kGreeted,  // somebody has connected
    kOffered,  // it knows our sockets; nothing was given up
    kGettingReady,
    kGiving,  // we decide nothing any more
    kGiven,   // it has been told all, and would decide where we die; we do again where it does
    kLetGo,   // it decides; where it dies now, we do again
    kFormer,  // it serves; we only obey
  };
  struct Starting {
    DetachedProcess process;
    std::unique_ptr<FdWatch> death;
    std::unique_ptr<Timer> patience;  // until its hello
    std::string why_ended;            // by us; empty: it is not
  };

  HandoverGiver(Loop& loop, std::string state_directory, Owner& owner, const HandoverLimits& limits)
      : loop_(loop),
        state_directory_(std::move(state_directory)),
        owner_(owner),
        limits_(limits),
        patience_(loop, [this] { took_too_long(); }) {}
  void start_ended();
  void start_took_too_long();
  void took_too_long();
  [[nodiscard]] bool successor_is_ours() const { return starting_ && starting_->process.pid == successor_; }
  void greet(Descriptor link);
  void heard(LinkMessage message);
  void offer(const HandoverMessage& hello);
  void get_ready();
  void give();
  void obey(HandoverMessage message);
  void follow(HandoverMessage message);
  [[nodiscard]] std::function<void()> answer_later(HandoverWord word, std::uint64_t number);
  void refuse(const std::string& why);
  void answer(HandoverWord word, std::uint64_t number);
  void link_ended();
  void lost(const std::string& why, bool is_dead);
  Result<void> listen();
  void go_on(bool released, const std::string& why);

  Loop& loop_;
  const std::string state_directory_;
  Owner& owner_;
  const HandoverLimits limits_;
  std::unique_ptr<LinkListener> listener_;
  Stage stage_ = Stage::kNone;
  pid_t successor_ = 0;
  std::unique_ptr<Starting> starting_;
  std::unique_ptr<DescriptorLink> link_;
  Descriptor process_;     // the successor's
  std::string why_ended_;  // why it is ended, or its link was closed, where we cannot go on yet
  std::unique_ptr<FdWatch> death_;
  Timer patience_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
