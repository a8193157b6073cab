// Thins out evidence: a crash under five thousand sessions is told a few times, not five thousand times. Pure; one per
// worker and cluster.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "proxy/base/time.h"
#include "proxy/session/link_evidence.h"

namespace pgkeel {

class EvidenceReporter {
 public:
  explicit EvidenceReporter(std::function<void(LinkEvidence)> sink) : sink_(std::move(sink)) {}

  // Passes on at most one report per node, epoch and kind in a tenth of a second.
  void report(LinkEvidence evidence, Instant now) {
    std::erase_if(recent_, [&](const Recent& recent) { return now - recent.reported_at >= kSilence; });
    for (const Recent& recent : recent_) {
      if (recent.kind == evidence.kind && recent.epoch == evidence.epoch && recent.node == evidence.node) return;
    }
    recent_.push_back({evidence.node, evidence.epoch, evidence.kind, now});
    sink_(std::move(evidence));
  }

 private:
  static constexpr Duration kSilence = std::chrono::milliseconds(100);

  struct Recent {
    std::string node;
    std::uint64_t epoch = 0;
    LinkEvidence::Kind kind = LinkEvidence::Kind::kBroken;
    Instant reported_at;
  };
  std::function<void(LinkEvidence)> sink_;
  std::vector<Recent> recent_;
};

}  // namespace pgkeel
