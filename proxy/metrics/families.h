// Metrics as they are put together, family by family, for Prometheus' text format. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "proxy/admin/cluster_status.h"
#include "proxy/base/time.h"

namespace pgkeel {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Families {
 public:
  Families& family(const std::string& name, const std::string& help, prometheus::MetricType type) {
    families_.push_back({name, help, type, {}});
    return *this;
  }

  void add(const Labels& labels, double value) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (families_.back().type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
  }

  void add(const Labels& labels, const DurationHistogram& durations) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    auto& histogram = metric.histogram;
    for (std::size_t bucket = 0; bucket < durations.counts.size(); ++bucket) {
      histogram.sample_count += durations.counts[bucket];
      const bool last = bucket == DurationHistogram::kBoundsMs.size();
      const double bound = last ? std::numeric_limits<double>::infinity()
                                : static_cast<double>(DurationHistogram::kBoundsMs[bucket]) / 1000;
      histogram.bucket.push_back({histogram.sample_count, bound});
    }
    histogram.sample_sum = std::chrono::duration<double>(durations.sum).count();
    families_.back().metric.push_back(std::move(metric));
  }

  [[nodiscard]] std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

inline double number(std::uint64_t value) {
  return static_cast<double>(value);
}

inline double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace pgkeel
