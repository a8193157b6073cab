#include "proxy/admin/event_stream.h"

#include <algorithm>
#include <utility>

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kClustersEvery = 1s;
constexpr Duration kSignOfLifeEvery = 10s;  // what stands between may close a connection that is silent
constexpr std::size_t kStreamedAtOnce = 200;

}  // namespace

std::string server_sent_event(std::string_view name, std::uint64_t id, std::string_view data) {
  std::string message;
  if (id > 0) message += "id: " + std::to_string(id) + "\n";
  message.append("event: ").append(name).append("\n");
  while (data.ends_with('\n')) data.remove_suffix(1);
  while (true) {
    const std::size_t end = std::min(data.find('\n'), data.size());
    message.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == data.size()) break;
    data.remove_prefix(end + 1);
  }
  return message + "\n";
}

EventStream::EventStream(const EventLog& events, std::function<std::optional<std::string>()> clusters,
                         std::uint64_t after)
    : events_(events), clusters_(std::move(clusters)), after_(after) {}

std::string EventStream::next(Instant now) {
  std::string text;
  if (!std::exchange(begun_, true)) {
    text = "retry: 1000\n\n";
    sign_of_life_due_ = now + kSignOfLifeEvery;
  }
  const auto happened = events_.since(after_, kStreamedAtOnce);
  for (const auto& event : happened) {
    text += server_sent_event("event", event.id, event_json(event));
    after_ = event.id;
  }
  if (clusters_ && (now >= clusters_due_ || !happened.empty())) {
    clusters_due_ = now + kClustersEvery;
    if (const auto json = clusters_()) text += server_sent_event("clusters", 0, *json);
  }
  if (!text.empty()) {
    sign_of_life_due_ = now + kSignOfLifeEvery;
  } else if (now >= sign_of_life_due_) {
    sign_of_life_due_ = now + kSignOfLifeEvery;
    text = ":\n\n";
  }
  return text;
}

}  // namespace pgkeel
