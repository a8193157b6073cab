// Whether standbys go on flushing: fed with what each probe of the primary says. Pure; one per cluster.
#pragma once

#include <map>
#include <string>

#include "replication/model/cluster_view.h"

namespace pgkeel {

class FlushWatch {
 public:
  // `facts` of the primary, which was asked at `facts_at` and answered by `heard_at`; the same ones may come again.
  // What they say was so at some time between the two: where an answer is long on its way, nothing has stood still for
  // that.
  void primary_said(const NodeFacts& facts, Instant facts_at, Instant heard_at);

  [[nodiscard]] const std::map<std::string, FlushProgress>& flushes() const { return flushes_; }

 private:
  Instant newest_{};
  struct Told {
    Lsn flushed;
    Lsn replayed;
  };

  Lsn position_;                      // of the primary, at the newest facts
  std::map<std::string, Told> told_;  // likewise, by its standbys
  std::map<std::string, FlushProgress> flushes_;
};

}  // namespace pgkeel
