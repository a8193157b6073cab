#include "proxy/session/evidence_reporter.h"

#include <doctest/doctest.h>

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

LinkEvidence broken(const std::string& node, std::uint64_t epoch = 1) {
  return {.cluster = "c", .node = node, .epoch = epoch, .kind = LinkEvidence::Kind::kBroken, .detail = ""};
}

}  // namespace

TEST_CASE("five thousand broken links in a moment are one report") {
  int reports = 0;
  EvidenceReporter reporter([&](const LinkEvidence&) { ++reports; });
  for (int link = 0; link < 5000; ++link) reporter.report(broken("a"), Instant{} + 1us * link);
  CHECK(reports == 1);
  reporter.report(broken("a"), Instant{} + 100ms);
  CHECK(reports == 2);
}

TEST_CASE("another node, epoch or kind is told at once") {
  int reports = 0;
  EvidenceReporter reporter([&](const LinkEvidence&) { ++reports; });
  reporter.report(broken("a"), Instant{});
  reporter.report(broken("b"), Instant{});
  reporter.report(broken("a", 2), Instant{});
  LinkEvidence refused = broken("a");
  refused.kind = LinkEvidence::Kind::kRefused;
  reporter.report(refused, Instant{});
  CHECK(reports == 4);
  reporter.report(refused, Instant{} + 50ms);
  CHECK(reports == 4);
}
