#include "replication/peers/peer_protocol.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "proxy/base/hexadecimal.h"
#include "proxy/base/lenient_json.h"
#include "replication/coordination/shared_route_json.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;
using lenient_json::dump;
using lenient_json::flag_of;
using lenient_json::member;
using lenient_json::parse;
using lenient_json::text_of;
using lenient_json::unsigned_of;

constexpr std::size_t kSecretBytesMax = 256;  // of protocol 3.2

Error unreadable(const char* what) {
  return Error{std::string(what) + " of another pgkeel cannot be read"};
}

}  // namespace

std::string to_json(const PromiseRequest& request) {
  return dump({{"from", request.from}, {"instance", request.instance}, {"applied", request.applied}});
}

Result<PromiseRequest> parse_promise_request(std::string_view text) {
  const Json json = parse(text);
  const Json& applied = member(json, "applied");
  PromiseRequest request{.from = text_of(json, "from"), .instance = text_of(json, "instance"), .applied = {}};
  if (request.from.empty() || request.instance.empty() || !applied.is_object()) return unreadable("the request");
  for (const auto& [cluster, serial] : applied.items()) {
    if (!serial.is_number_unsigned()) return unreadable("the request");
    request.applied[cluster] = serial.get<std::uint64_t>();
  }
  return request;
}

std::string to_json(const Promise& promise) {
  Json routes = Json::object();
  for (const auto& [cluster, route] : promise.routes) routes[cluster] = json_of(route);
  return dump({{"from", promise.from},
               {"holds", promise.holds},
               {"roster", {{"version", promise.roster.version}, {"members", promise.roster.members}}},
               {"routes", routes}});
}

Result<Promise> parse_promise(std::string_view text) {
  const Json json = parse(text);
  const Json& roster = member(json, "roster");
  const Json& members = member(roster, "members");
  const Json& routes = member(json, "routes");
  const auto version = unsigned_of(roster, "version");
  Promise promise;
  promise.from = text_of(json, "from");
  promise.holds = flag_of(json, "holds");
  if (promise.from.empty() || !version || !members.is_array() || !routes.is_object()) return unreadable("a promise");
  promise.roster.version = *version;
  for (const Json& name : members) {
    if (!name.is_string()) return unreadable("a promise");
    promise.roster.members.insert(name.get<std::string>());
  }
  // A route that is not understood may be newer than all that is known: as if nothing had been promised.
  for (const auto& [cluster, route] : routes.items()) {
    auto known = shared_route_in(route);
    if (!known) return unreadable("a promise");
    promise.routes[cluster] = std::move(*known);
  }
  return promise;
}

std::string to_json(const PeerView& view) {
  Json clusters = Json::object();
  for (const auto& [cluster, nodes] : view.nodes) {
    Json& of_cluster = clusters[cluster] = Json::object();
    for (const auto& [name, node] : nodes) {
      of_cluster[name] = {{"liveness", node.liveness},
                          {"primary", node.is_primary},
                          {"heard_ms_ago", std::max<std::int64_t>(0, to_milliseconds(node.heard_ago))}};
    }
  }
  return dump({{"name", view.name},
               {"version", view.version},
               {"settings", view.settings},
               {"clusters", clusters},
               {"obstacles", view.obstacles},
               {"ending", view.is_ending}});
}

Result<PeerView> parse_peer_view(std::string_view text) {
  const Json json = parse(text);
  const Json& settings = member(json, "settings");
  const Json& clusters = member(json, "clusters");
  PeerView view{.name = text_of(json, "name"), .version = text_of(json, "version"), .settings = {}, .nodes = {}};
  if (view.name.empty() || !settings.is_object() || !clusters.is_object()) return unreadable("the view");
  for (const auto& [path, value] : settings.items()) view.settings[path] = text_of(value);
  // An earlier version tells neither.
  view.is_ending = flag_of(json, "ending");
  if (const Json& obstacles = member(json, "obstacles"); obstacles.is_object()) {
    for (const auto& [cluster, why] : obstacles.items()) view.obstacles[cluster] = text_of(why);
  }
  for (const auto& [cluster, nodes] : clusters.items()) {
    if (!nodes.is_object()) return unreadable("the view");
    for (const auto& [name, node] : nodes.items()) {
      const auto ago = lenient_json::whole_of<std::uint32_t>(node, "heard_ms_ago");
      if (!ago) return unreadable("the view");
      view.nodes[cluster][name] = {.liveness = text_of(node, "liveness"),
                                   .is_primary = flag_of(node, "primary"),
                                   .heard_ago = std::chrono::milliseconds(*ago)};
    }
  }
  return view;
}

std::string to_json(const PeerCancel& cancel) {
  return dump(
      {{"cluster", cancel.cluster}, {"process_id", cancel.process_id}, {"secret", to_hexadecimal(cancel.secret)}});
}

Result<PeerCancel> parse_peer_cancel(std::string_view text) {
  const Json json = parse(text);
  const auto process_id = unsigned_of(json, "process_id");
  const std::string secret_text = text_of(json, "secret");
  auto secret = secret_text.size() > 2 * kSecretBytesMax ? std::nullopt : from_hexadecimal(secret_text);
  PeerCancel cancel{.cluster = text_of(json, "cluster"), .process_id = 0, .secret = {}};
  if (cancel.cluster.empty() || !process_id || *process_id > UINT32_MAX || !secret || secret->empty())
    return unreadable("a cancel request");
  cancel.process_id = static_cast<std::uint32_t>(*process_id);
  cancel.secret = std::move(*secret);
  return cancel;
}

std::string cancel_answer_json(bool is_forwarded) {
  return dump({{"forwarded", is_forwarded}});
}

bool parse_cancel_answer(std::string_view text) {
  return flag_of(parse(text), "forwarded");
}

std::string peer_error_json(const std::string& message) {
  return dump({{"error", message}});
}

}  // namespace pgkeel
