// Which nodes the read-only endpoint of a cluster leads to: standbys that are close enough to the primary, else the
// primary. Pure: no I/O, clock or log. One per cluster; remembers what it has seen.
//
// How far a standby is behind is measured against the primary itself: the positions that its probes told are kept, each
// with the time when the probe began. A standby that has replayed one of them has everything that was committed up to
// that time. So the standby of an idle primary is not behind, whatever the age of its last transaction, and one that is
// cut off is, as soon as the primary goes on. Where the primary is not heard, nothing is known to be fresh; but where
// it lives, and only does not tell its position (it is overloaded, or has no slot left for the probe), not to know is
// not to be behind. A standby that has replayed all that is known of the primary, and what it receives, keeps its
// sessions, and gets the new ones before the primary does, whom they would only add to.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/lsn.h"
#include "proxy/base/time.h"
#include "replication/model/cluster_view.h"

namespace pgkeel {

struct ReadOnlyPolicy {
  Duration max_read_lag = std::chrono::seconds(1);
  Duration failure_timeout = std::chrono::seconds(3);  // DetectionConfig's

  // Sessions of a standby that is too far behind end when it has been so for this long without a break.
  [[nodiscard]] Duration patience() const;
  // And it gets new ones when it has been close enough for this long.
  static constexpr Duration kReturnAfter = std::chrono::seconds(2);
};

enum class Readability {
  kEligible,  // new sessions may go there
  kBehind,    // new ones may not, those that are there may stay: it may catch up
  kExcluded,  // no session may be there
};

// "eligible", "behind", "excluded"
const char* readability_name(Readability readability);

struct Reader {
  std::string node;
  Readability readability = Readability::kExcluded;
  bool is_primary = false;   // where no standby is eligible, new sessions go there
  std::string why_not = {};  // as one clause for a person: "b is 2.5s behind (max_read_lag is 1s)"; empty: eligible
  std::optional<Duration> lag = {};             // nothing: it cannot be measured
  std::optional<std::uint64_t> lag_bytes = {};  // of WAL that it has not replayed

  friend bool operator==(const Reader&, const Reader&) = default;
};

// Where the write endpoint leads, and what operators work on.
struct ReadOnlyContext {
  std::string primary;  // empty: it leads nowhere
  std::uint64_t epoch = 0;
  std::set<std::string> maintained;  // nodes that are out for maintenance
};

class ReadOnlyEndpoint {
 public:
  explicit ReadOnlyEndpoint(ReadOnlyPolicy policy) : policy_(policy) {}

  // From the next decision on. What was seen so far counts.
  void reconfigure(ReadOnlyPolicy policy) { policy_ = policy; }

  // Readers come in the order of the nodes.
  std::vector<Reader> decide(const std::vector<NodeView>& nodes, const ReadOnlyContext& context, Instant now);

 private:
  struct Position {
    Instant at;
    Lsn lsn;
  };
  struct Standing {
    bool was_out = false;
    std::optional<Instant> out_since = {};     // too far behind, without a break
    std::optional<Instant> within_since = {};  // close enough, without a break
  };

  using Positions = std::deque<Position>;

  static void note(Positions& positions, Position position);
  // Nothing: it has reached none of them.
  static std::optional<Duration> lag_behind(const Positions& positions, const NodeView& standby);
  [[nodiscard]] Reader judge(const NodeView& node, const NodeView* primary) const;
  void measure(const NodeView& standby, Reader& reader) const;
  [[nodiscard]] std::string why_unfit(const NodeView& standby, const NodeView* primary, Instant now) const;
  [[nodiscard]] std::string why_behind(const NodeView& standby, const NodeView* primary, const Reader& reader,
                                       Instant now) const;
  [[nodiscard]] bool only_primary_is_mute(const NodeView& standby, const NodeView& primary, const Reader& reader) const;
  void prefer_unknown_to_mute_primary(std::vector<Reader>& readers, const std::set<std::string>& unknown) const;
  void apply_patience(Reader& reader, const std::string& why_behind, Instant now);

  ReadOnlyPolicy policy_;
  std::uint64_t epoch_ = 0;
  std::string primary_;
  Positions positions_;                        // of the primary, oldest first
  std::map<std::string, Positions> received_;  // of each standby that streams: what it has of the primary's WAL
  std::map<std::string, Standing> standings_;
};

}  // namespace pgkeel
