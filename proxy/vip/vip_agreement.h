// One pgkeel's part in who holds the virtual IP: follows the agreed holder, and moves the address to the leader. Level-
// triggered: review() looks at the whole. Loop's thread only; callbacks never come from inside a call.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "proxy/vip/vip_decision.h"
#include "replication/coordination/coordinator.h"

namespace pgkeel {

class VipHolder;

class VipAgreement {
 public:
  // `holder`: nullptr where this host can have no address; it follows all the same. `lease`: of the members.
  VipAgreement(Coordinator& coordinator, std::string name, Duration lease, VipHolder* holder,
               std::function<void(const std::string& problem)> on_problem);

  // Whenever what the members agree on may have changed, and at each event of the holder.
  void review();

  // From now on, as this pgkeel ends: VipSituation::takes_nothing.
  void take_nothing() { takes_nothing_ = true; }

  // Of its leaving, if it does: it need not be held on for that.
  void everybody_is_told();

  // Who holds it, as far as is known; empty: nobody.
  [[nodiscard]] std::string holder_name() const;

 private:
  void write(const std::string& node);

  Coordinator& coordinator_;
  const std::string name_;
  const Duration lease_;
  VipHolder* const holder_;
  const std::function<void(const std::string& problem)> on_problem_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Instant granted_until_{};
  std::optional<Instant> leaving_since_;
  bool everybody_is_told_ = false;
  bool takes_nothing_ = false;
  bool writing_ = false;
  Instant write_again_at_{};
  std::uint64_t serial_before_write_ = 0;
  bool reviewing_ = false;
};

}  // namespace pgkeel
