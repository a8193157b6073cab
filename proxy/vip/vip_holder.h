// Holds the virtual IP of a leader on an interface of this host: hold() takes or prolongs it, release() gives it back.
// Whatever becomes of this process, the kernel removes it before the time that hold() was given. Loop's thread only.
// Takes CAP_NET_ADMIN and CAP_NET_RAW. README.md has the reasons.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/values.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

class Loop;

struct VipEvent {
  enum class Kind {
    kTaken,
    kEnding,    // it goes in a moment: those who came by it are to be told now
    kStays,     // … it does not, after all
    kReleased,  // as asked for, or because its time was over
    kVanished,  // somebody else removed it; it is taken again where it may be
    kTrouble,   // it could not be set, removed or announced; tried again
  };
  Kind kind = Kind::kTrouble;
  std::string text;  // for a person
};

// What an earlier life of this pgkeel left on an interface.
enum class VipLeftover {
  kRemove,
  kKeep,  // this process takes over from one that still runs: it may be held on, and is that one's until take_over()
};

class VipHolder {
 public:
  // An error where there is no such interface, a capability is missing, or the address is configured here by somebody
  // else.
  static Result<std::unique_ptr<VipHolder>> open(Loop& loop, const InterfaceAddress& address,
                                                 const std::string& interface, VipLeftover leftover,
                                                 std::function<void(const VipEvent&)> on_event);
  ~VipHolder();  // releases it, unless it is another process's
  VipHolder(const VipHolder&) = delete;
  VipHolder& operator=(const VipHolder&) = delete;

  // CLOCK_BOOTTIME. Less than 2.25 seconds from now is too short to take it (the kernel counts in whole seconds), and
  // long enough to keep it until then.
  void hold(Instant until);
  void release();
  // Another one shall have it: it goes at `by`, or where it may not be held for so long.
  void leave(Instant by, Instant until);
  // The other process (VipLeftover::kKeep) does not go on any more.
  void take_over();
  // Destroyed afterwards, it leaves the address to its end: for a process that goes on with it.
  void leave_to_successor();

  [[nodiscard]] bool is_held() const;
  [[nodiscard]] const IpAddress& address() const;
  [[nodiscard]] Instant goes_at() const;  // CLOCK_BOOTTIME; where it is not prolonged
  // It has left, or leaves, and the next holder may announce itself any moment: who began to connect is passed on then.
  [[nodiscard]] bool keeps_callers() const;

 private:
  struct Inner;
  explicit VipHolder(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace pgkeel
