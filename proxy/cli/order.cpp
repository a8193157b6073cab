#include "proxy/cli/order.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "config/find.h"
#include "proxy/admin/token_file.h"
#include "proxy/cli/admin_client.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/cli/status_text.h"
#include "proxy/cli/terminal.h"
#include "proxy/io/clock.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr Duration kOrderLimit = 10s;        // for the answer
constexpr Duration kRestartPatience = 1min;  // for a pgkeel that does not answer any more: an order outlives it
constexpr auto kAskPause = 500ms;

// Something that only a wrong command line can name.
std::string usage_error(const Config& config, const OrderOptions& options) {
  if (const auto wrong = complain_of_cluster(config, options.cluster)) return *wrong;
  const ClusterConfig& cluster = *find_cluster_config(config, options.cluster);
  const std::string& node = options.order.node;
  if (const auto wrong = node.empty() ? std::nullopt : complain_of_node(cluster, node)) return *wrong;
  if (options.order.kind != OrderKind::kTeardown) return "";
  if (options.name.empty() && !is_terminal(STDIN_FILENO))
    return "teardown asks for the cluster's name: type it on a terminal, or say --name " + options.cluster;
  return options.name.empty() || options.name == options.cluster
             ? ""
             : "--name " + options.name + " is not the cluster that is to be torn down, " + options.cluster;
}

bool goes_on(const Config& config, const OrderOptions& options, const std::string& consequences) {
  std::cout << options.cluster << ": " << order_name(options.order.kind) << ": " << consequences << "\n";
  const auto status = ask_admin(config, "/api/v1/clusters/" + options.cluster);
  const Json json = status ? Json::parse(*status, nullptr, false) : Json();
  if (json.is_object() && json.contains("sessions"))
    std::cout << "Now connected: " << json["sessions"].value("open", std::uint64_t{0}) << " clients.\n";
  if (options.order.kind != OrderKind::kTeardown) return is_told_to_go_on();
  std::cout << "To go on, type the name of the cluster: " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == options.cluster;
}

// Shows what happens to the cluster until the order has ended.
class Watch {
 public:
  Watch(const Config& config, std::string cluster, std::string path, std::uint64_t newest_event)
      : config_(config), cluster_(std::move(cluster)), path_(std::move(path)), newest_event_(newest_event) {}

  int until_ended() {
    Instant answered_at = monotonic_now();
    while (true) {
      const auto order = ask_admin(config_, path_);
      const Json json = order ? Json::parse(*order, nullptr, false) : Json();
      if (json.is_object() && json.contains("state")) {
        answered_at = monotonic_now();
        const bool ended = json["state"] != order_state_name(OrderState::kRunning);
        show_events(!ended);
        if (ended)
          return json["state"] == order_state_name(OrderState::kDone) ? kExitDone : fail(json.value("message", ""));
        continue;
      }
      if (monotonic_now() - answered_at >= kRestartPatience) {
        return fail(order ? "the answer is not what this pgkeel expects"
                          : order.error().message +
                                "; the order is kept, and a pgkeel that is started again goes on with it");
      }
      std::this_thread::sleep_for(kAskPause);
    }
  }

 private:
  void show_events(bool wait) {
    const std::string path = "/api/v1/events?after=" + std::to_string(newest_event_) + (wait ? "&wait_ms=1000" : "");
    const auto answer = ask_admin(config_, path);
    if (!answer) return;
    if (const auto text = events_text(*answer, newest_event_, cluster_, painter_)) std::cout << *text << std::flush;
  }

  const Config& config_;
  const std::string cluster_;
  const std::string path_;
  const Painter painter_{wants_colours(STDOUT_FILENO)};
  std::uint64_t newest_event_;
};

}  // namespace

OrderPost order_post(const std::string& cluster, const OperatorOrder& order, bool preview) {
  Json body = Json::object();
  if (preview) body["preview"] = true;
  switch (order.kind) {
    case OrderKind::kFailover:
      if (!order.node.empty()) body["to"] = order.node;
      if (order.accept_loss) body["accept_loss"] = true;
      break;
    case OrderKind::kRejoin:
      body["node"] = order.node;
      if (order.rebuild) body["rebuild"] = true;
      if (order.discard_old_data) body["discard_old_data"] = true;
      break;
    case OrderKind::kResolve:
      body["keep"] = order.node;
      break;
    case OrderKind::kSwitchover:
      if (!order.node.empty()) body["to"] = order.node;
      break;
    case OrderKind::kMaintenance:
      body["on"] = order.on;
      if (!order.node.empty()) body["node"] = order.node;
      break;
    case OrderKind::kStop:
    case OrderKind::kStart:
      break;
    case OrderKind::kTeardown:
      if (!preview) body["name"] = cluster;
      break;
    case OrderKind::kProvision:
      body["node"] = order.node;
      break;
  }
  return {"/api/v1/clusters/" + cluster + "/" + order_name(order.kind), body.dump()};
}

int run_order(const OrderOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  if (const std::string wrong = usage_error(*config, options); !wrong.empty()) return fail(wrong, kExitUsage);
  const auto token = read_token(config->admin.token_file);
  if (!token) return fail(token.error().message);
  const auto post = [&](bool preview) -> Result<Json> {
    const auto [path, body] = order_post(options.cluster, options.order, preview);
    const auto answer = post_admin(*config, path, body, *token, kOrderLimit);
    if (!answer) return answer.error();
    Json json = Json::parse(*answer, nullptr, false);
    if (!json.is_object() || !json.contains("accepted")) return Error{"the answer is not what this pgkeel expects"};
    if (!json.value("accepted", false))
      return Error{std::string(order_name(options.order.kind)) + " is refused: " + json.value("reason", "")};
    return json;
  };
  if (!options.yes && options.name.empty() && is_terminal(STDIN_FILENO)) {
    const auto preview = post(true);
    if (!preview) return fail(preview.error().message);
    if (!goes_on(*config, options, preview->value("consequences", ""))) return fail("nothing was done");
  }
  const auto answer = post(false);
  if (!answer) return fail(answer.error().message);
  return Watch(*config, options.cluster, answer->value("watch", ""), answer->value("newest_event", std::uint64_t{0}))
      .until_ended();
}

}  // namespace pgkeel
