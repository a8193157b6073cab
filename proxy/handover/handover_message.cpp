#include "proxy/handover/handover_message.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <string_view>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "proxy/base/hexadecimal.h"
#include "proxy/base/lenient_json.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<HandoverWord, std::string_view>, 23> kWords = {{
    {HandoverWord::kHello, "hello"},
    {HandoverWord::kReady, "ready"},
    {HandoverWord::kReceived, "received"},
    {HandoverWord::kServing, "serving"},
    {HandoverWord::kRefused, "refused"},
    {HandoverWord::kListener, "listener"},
    {HandoverWord::kOffered, "offered"},
    {HandoverWord::kControl, "control"},
    {HandoverWord::kOpenRoute, "open route"},
    {HandoverWord::kSession, "session"},
    {HandoverWord::kMembership, "membership"},
    {HandoverWord::kFormer, "former"},
    {HandoverWord::kGiven, "given"},
    {HandoverWord::kGo, "go"},
    {HandoverWord::kMain, "main"},
    {HandoverWord::kStays, "stays"},
    {HandoverWord::kDraining, "draining"},
    {HandoverWord::kDeadline, "deadline"},
    {HandoverWord::kAddressLeaves, "address leaves"},
    {HandoverWord::kEnd, "end"},
    {HandoverWord::kRoute, "route"},
    {HandoverWord::kApplied, "applied"},
    {HandoverWord::kDrained, "drained"},
}};

// A RouteMode goes as its number: both processes know the same, as their version of the protocol is the same.
constexpr auto kNewestMode = static_cast<std::uint8_t>(RouteMode::kTornDown);

template <class Value, std::size_t size>
std::string_view name_in(const std::array<std::pair<Value, std::string_view>, size>& names, Value value) {
  const auto found = std::ranges::find(names, value, &std::pair<Value, std::string_view>::first);
  assert(found != names.end());
  return found->second;
}

template <class Value, std::size_t size>
std::optional<Value> named_in(const std::array<std::pair<Value, std::string_view>, size>& names,
                              std::string_view name) {
  const auto found = std::ranges::find(names, name, &std::pair<Value, std::string_view>::second);
  return found == names.end() ? std::nullopt : std::optional(found->first);
}

template <class Member>
void read_member(const Json& object, const char* name, Member& member, bool& complete) {
  const auto& value = lenient_json::member(object, name);
  if constexpr (std::is_same_v<Member, bool>) {
    complete = complete && value.is_boolean();
    if (value.is_boolean()) member = value.get<bool>();
  } else {
    const bool fits = value.is_number_integer() &&
                      (value.is_number_unsigned() || std::is_same_v<Member, char>)&&(
                          !std::is_same_v<Member, char> ||
                          (value >= std::numeric_limits<char>::min() && value <= std::numeric_limits<char>::max()));
    complete = complete && fits;
    if (fits) member = value.get<Member>();
  }
}

template <class Tracker>
void write_members(const Tracker& tracker, Json& object) {
  Tracker::each_member(tracker, [&](const char* name, const auto& member) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, char>)
      object[name] = static_cast<int>(member);
    else
      object[name] = member;
  });
}

template <class Tracker>
bool read_members(const Json& object, Tracker& tracker) {
  bool complete = true;
  Tracker::each_member(tracker, [&](const char* name, auto& member) { read_member(object, name, member, complete); });
  return complete;
}

Json target_json(const RouteTarget& target) {
  return {{"node", target.node}, {"host", target.address.host}, {"port", target.address.port}};
}

std::optional<RouteTarget> read_target(const Json& object) {
  const auto port = lenient_json::whole_of<std::uint16_t>(object, "port");
  RouteTarget target{lenient_json::text_of(object, "node"), {lenient_json::text_of(object, "host"), port.value_or(0)}};
  if (!port || target.node.empty() || target.address.host.empty()) return std::nullopt;
  return target;
}

Json route_json(const Route& route) {
  Json object = {{"epoch", route.epoch}, {"mode", static_cast<int>(route.mode)}, {"reason", route.reason}};
  if (route.target) object["target"] = target_json(*route.target);
  for (const ReadTarget& reader : route.readers) {
    Json each = target_json(reader.server);
    each["is_primary"] = reader.is_primary;
    each["takes_new"] = reader.takes_new;
    object["readers"].push_back(std::move(each));
  }
  if (!route.why_not.empty()) object["why_not"] = route.why_not;
  return object;
}

bool read_readers(const Json& object, Route& route) {
  const auto& readers = lenient_json::member(object, "readers");
  if (!readers.is_array() && !readers.is_null()) return false;
  for (const Json& each : readers) {
    auto server = read_target(each);
    bool complete = true;
    ReadTarget reader;
    read_member(each, "is_primary", reader.is_primary, complete);
    read_member(each, "takes_new", reader.takes_new, complete);
    if (!server || !complete) return false;
    reader.server = std::move(*server);
    route.readers.push_back(std::move(reader));
  }
  const auto& why_not = lenient_json::member(object, "why_not");
  if (!why_not.is_object()) return why_not.is_null();
  for (const auto& [node, why] : why_not.items()) {
    if (!why.is_string()) return false;
    route.why_not[node] = why.get<std::string>();
  }
  return true;
}

std::optional<Route> read_route(const Json& object) {
  Route route;
  bool complete = true;
  read_member(object, "epoch", route.epoch, complete);
  const auto mode = lenient_json::whole_of<std::uint8_t>(object, "mode");
  const auto& target = lenient_json::member(object, "target");
  if (!target.is_null()) route.target = read_target(target);
  if (!complete || !mode || *mode > kNewestMode || (!target.is_null() && !route.target)) return std::nullopt;
  route.mode = static_cast<RouteMode>(*mode);
  route.reason = lenient_json::text_of(object, "reason");
  if (!read_readers(object, route)) return std::nullopt;
  return route;
}

Json key_json(const CancelKey& key) {
  return {{"process_id", key.process_id}, {"secret", to_hexadecimal(key.secret)}};
}

std::optional<CancelKey> read_key(const Json& object) {
  const auto process_id = lenient_json::whole_of<std::uint32_t>(object, "process_id");
  auto secret = from_hexadecimal(lenient_json::text_of(object, "secret"));
  if (!process_id || !secret || secret->size() > kCancelSecretBytesMax) return std::nullopt;
  return CancelKey{*process_id, std::move(*secret)};
}

Json session_json(const MovedSession& session) {
  if (!session.established)
    return {{"startup", to_hexadecimal(session.startup)}, {"encryption_requests", session.encryption_requests}};
  const auto& established = *session.established;
  Json object = {{"epoch", established.epoch}, {"target", target_json(established.target)}};
  write_members(established.transaction, object);
  write_members(established.commit, object);
  if (established.cancel_key) object["cancel_key"] = key_json(*established.cancel_key);
  return object;
}

std::optional<MovedSession> read_session(const Json& object, std::vector<Descriptor>& descriptors) {
  MovedSession session;
  const auto& target = lenient_json::member(object, "target");
  if (target.is_null()) {
    auto startup = from_hexadecimal(lenient_json::text_of(object, "startup"));
    const auto requests = lenient_json::whole_of<std::uint32_t>(object, "encryption_requests");
    if (!startup || startup->size() > kStartupPacketBytesMax || !requests || descriptors.size() != 1)
      return std::nullopt;
    session.startup = std::move(*startup);
    session.encryption_requests = *requests;
  } else {
    MovedSession::Established established;
    auto where = read_target(target);
    bool complete = true;
    read_member(object, "epoch", established.epoch, complete);
    const bool known =
        read_members(object, established.transaction) && read_members(object, established.commit) && complete;
    if (!where || !known || descriptors.size() != 2) return std::nullopt;
    established.target = std::move(*where);
    if (const auto& key = lenient_json::member(object, "cancel_key"); !key.is_null()) {
      established.cancel_key = read_key(key);
      if (!established.cancel_key) return std::nullopt;
    }
    established.server = Socket::take(descriptors[1].release());
    session.established = std::move(established);
  }
  session.client = Socket::take(descriptors[0].release());
  descriptors.clear();
  return session;
}

Json membership_json(const MovedMembership& membership) {
  return {{"name", membership.name},
          {"prefix", membership.prefix},
          {"instance", membership.instance},
          {"lease", membership.lease},
          {"renewed_at", membership.renewed_at.time_since_epoch().count()}};
}

std::optional<MovedMembership> read_membership(const Json& object) {
  MovedMembership membership{.name = lenient_json::text_of(object, "name"),
                             .prefix = lenient_json::text_of(object, "prefix"),
                             .instance = lenient_json::text_of(object, "instance")};
  bool complete = true;
  std::uint64_t renewed_at = 0;
  read_member(object, "lease", membership.lease, complete);
  read_member(object, "renewed_at", renewed_at, complete);
  if (!complete || membership.name.empty() || membership.instance.empty() || membership.lease == 0 ||
      renewed_at > static_cast<std::uint64_t>(std::numeric_limits<Duration::rep>::max()))
    return std::nullopt;
  membership.renewed_at = Instant{Duration(static_cast<Duration::rep>(renewed_at))};
  return membership;
}

bool read_parts(const Json& object, HandoverMessage& message) {
  if (const auto& membership = lenient_json::member(object, "membership"); !membership.is_null()) {
    message.membership = read_membership(membership);
    if (!message.membership) return false;
  }
  if (const auto& route = lenient_json::member(object, "route"); !route.is_null()) {
    message.route = read_route(route);
    if (!message.route) return false;
  }
  if (const auto& session = lenient_json::member(object, "session"); !session.is_null()) {
    message.session = read_session(session, message.descriptors);
    if (!message.session) return false;
  }
  if (const auto& stays = lenient_json::member(object, "stays"); !stays.is_null()) {
    auto key = read_key(stays);
    CancelRegistry::Owner owner{lenient_json::text_of(stays, "node"), 0};
    bool complete = true;
    read_member(stays, "epoch", owner.epoch, complete);
    if (!key || !complete) return false;
    message.stays.emplace(std::move(*key), std::move(owner));
  }
  const auto& draining = lenient_json::member(object, "draining");
  if (!draining.is_object()) return draining.is_null();
  for (const auto& [cluster, count] : draining.items()) {
    if (!count.is_number_unsigned()) return false;
    message.draining[cluster] = count.get<std::uint64_t>();
  }
  return true;
}

// What its word needs is there.
bool is_whole(const HandoverMessage& message) {
  switch (message.word) {
    case HandoverWord::kListener:
    case HandoverWord::kControl:
      return message.descriptors.size() == 1;
    case HandoverWord::kFormer:
      return message.descriptors.size() == 2;
    case HandoverWord::kOpenRoute:
    case HandoverWord::kRoute:
      return message.route.has_value() && !message.cluster.empty() && message.descriptors.empty();
    case HandoverWord::kMembership:
      return message.membership.has_value() && message.descriptors.empty();
    case HandoverWord::kDeadline:
      return !message.cluster.empty() && message.descriptors.empty();
    case HandoverWord::kAddressLeaves:
      return !message.text.empty() && message.descriptors.empty();
    case HandoverWord::kSession:
      return message.session.has_value() && !message.cluster.empty();
    case HandoverWord::kStays:
      return message.stays.has_value() && !message.cluster.empty() && message.descriptors.empty();
    default:
      return message.descriptors.empty();
  }
}

}  // namespace

LinkMessage write_handover(HandoverMessage message) {
  Json object = {{"word", name_in(kWords, message.word)}};
  if (message.number != 0) object["number"] = message.number;
  if (!message.text.empty()) object["text"] = message.text;
  if (!message.cluster.empty()) object["cluster"] = message.cluster;
  if (message.route) object["route"] = route_json(*message.route);
  if (message.membership) object["membership"] = membership_json(*message.membership);
  if (!message.draining.empty()) object["draining"] = message.draining;
  if (message.stays) {
    object["stays"] = key_json(message.stays->first);
    object["stays"]["node"] = message.stays->second.node;
    object["stays"]["epoch"] = message.stays->second.epoch;
  }
  LinkMessage link_message;
  if (message.session) {
    object["session"] = session_json(*message.session);
    link_message.descriptors.emplace_back(message.session->client.release());
    if (auto& established = message.session->established)
      link_message.descriptors.emplace_back(established->server.release());
  }
  for (auto& descriptor : message.descriptors) link_message.descriptors.push_back(std::move(descriptor));
  // A reason may hold what a server said, in whatever encoding.
  link_message.text = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  return link_message;
}

LinkMessage write_borrowed(const std::string& cluster, const MovedSession& session) {
  const Json object = {
      {"word", name_in(kWords, HandoverWord::kSession)}, {"cluster", cluster}, {"session", session_json(session)}};
  LinkMessage message{.text = object.dump(-1, ' ', false, Json::error_handler_t::replace), .descriptors = {}};
  message.borrowed = {session.client.descriptor()};
  if (session.established) message.borrowed.push_back(session.established->server.descriptor());
  return message;
}

Result<HandoverMessage> read_handover(LinkMessage link_message) {
  const Json object = Json::parse(link_message.text, nullptr, false);
  const auto word = named_in(kWords, lenient_json::text_of(object, "word"));
  if (!word) return Error{"a message of the handover is of an unknown kind"};
  HandoverMessage message;
  message.word = *word;
  const auto& number = lenient_json::member(object, "number");
  if (number.is_number_unsigned()) message.number = number.get<std::uint64_t>();
  message.text = lenient_json::text_of(object, "text");
  message.cluster = lenient_json::text_of(object, "cluster");
  message.descriptors = std::move(link_message.descriptors);
  if (!read_parts(object, message) || !is_whole(message))
    return Error{"a message of the handover (" + std::string(name_in(kWords, *word)) + ") is incomplete"};
  return message;
}

}  // namespace pgkeel
