#include "replication/coordination/etcd_requests.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <nlohmann/json.hpp>

#include "proxy/base/lenient_json.h"
#include "proxy/io/scram_keys.h"

namespace pgkeel {
namespace {

using Json = nlohmann::json;
using lenient_json::dump;
using lenient_json::member;
using lenient_json::parse;
using lenient_json::text_of;

constexpr std::size_t kTextMax = 200;

// Numbers come as strings; a field that is zero is left out.
std::optional<std::uint64_t> number_of(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (value.is_null()) return 0;
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> revision_of(const Json& object) {
  const auto revision = number_of(member(object, "header"), "revision");
  if (!revision || *revision == 0) return std::nullopt;
  return revision;
}

std::optional<EtcdKeyValue> read_entry(const Json& json) {
  EtcdKeyValue entry;
  const auto key = from_base64(text_of(json, "key"));
  const auto value = from_base64(text_of(json, "value"));
  const auto created = number_of(json, "create_revision");
  const auto version = number_of(json, "mod_revision");
  if (!key || !value || !created || !version || key->empty()) return std::nullopt;
  return EtcdKeyValue{*key, *value, *created, *version};
}

bool read_entries(const Json& range, std::vector<EtcdKeyValue>& entries) {
  const Json& list = member(range, "kvs");
  if (list.is_null()) return true;
  if (!list.is_array()) return false;
  for (const auto& each : list) {
    auto entry = read_entry(each);
    if (!entry) return false;
    entries.push_back(std::move(*entry));
  }
  return true;
}

Json range_of(const std::string& prefix) {
  return {{"key", to_base64(prefix)}, {"range_end", to_base64(end_of_prefix(prefix))}};
}

std::string condition(const std::string& key, const char* target, const char* field, std::uint64_t value) {
  return dump({{"key", to_base64(key)}, {"result", "EQUAL"}, {"target", target}, {field, std::to_string(value)}});
}

// The last two: users or roles were changed after the login.
bool is_about_the_token(const std::string& why) {
  return std::ranges::any_of(std::array{"invalid auth token", "user name is empty", "revision of auth store is old",
                                        "revision in header is old"},
                             [&](const char* text) { return why.find(text) != std::string::npos; });
}

Error unreadable(const char* what) {
  return Error{std::string("etcd's answer to ") + what + " cannot be read"};
}

bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}

// For a terminal, and for one line of a log.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return !is_printable(c); }, '?');
  if (text.size() > kTextMax) text = text.substr(0, kTextMax) + "...";
  return text;
}

// The message of an error in JSON; empty: there is none.
std::string told_by_etcd(std::string_view body) {
  const Json json = parse(body);
  for (const Json* at : {&json, &member(json, "error")}) {
    for (const char* name : {"message", "error"}) {
      if (std::string text = text_of(*at, name); !text.empty()) return text;
    }
  }
  return "";
}

}  // namespace

EtcdTransaction& EtcdTransaction::if_created_at(const std::string& key, std::uint64_t revision) {
  conditions_.push_back(condition(key, "CREATE", "create_revision", revision));
  return *this;
}

EtcdTransaction& EtcdTransaction::if_version(const std::string& key, std::uint64_t revision) {
  conditions_.push_back(condition(key, "MOD", "mod_revision", revision));
  return *this;
}

EtcdTransaction& EtcdTransaction::if_lease(const std::string& key, std::uint64_t lease) {
  conditions_.push_back(condition(key, "LEASE", "lease", lease));
  return *this;
}

EtcdTransaction& EtcdTransaction::put(const std::string& key, const std::string& value, std::uint64_t lease) {
  Json json = {{"key", to_base64(key)}, {"value", to_base64(value)}};
  if (lease != 0) json["lease"] = std::to_string(lease);
  operations_.push_back(dump({{"request_put", json}}));
  return *this;
}

EtcdTransaction& EtcdTransaction::remove(const std::string& key) {
  operations_.push_back(dump({{"request_delete_range", {{"key", to_base64(key)}}}}));
  return *this;
}

EtcdTransaction& EtcdTransaction::remove_prefix(const std::string& prefix) {
  operations_.push_back(dump({{"request_delete_range", range_of(prefix)}}));
  return *this;
}

EtcdTransaction& EtcdTransaction::read_prefix(const std::string& prefix) {
  operations_.push_back(dump({{"request_range", range_of(prefix)}}));
  return *this;
}

EtcdRequest EtcdTransaction::request() const {
  const auto list = [](const std::vector<std::string>& texts) {
    std::string joined;
    for (const auto& text : texts) joined += (joined.empty() ? "" : ",") + text;
    return "[" + joined + "]";
  };
  return {"/v3/kv/txn", R"({"compare":)" + list(conditions_) + R"(,"success":)" + list(operations_) + "}"};
}

EtcdRequest grant_lease(std::uint64_t seconds) {
  return {"/v3/lease/grant", dump({{"TTL", std::to_string(seconds)}})};
}

EtcdRequest renew_lease(std::uint64_t lease) {
  return {"/v3/lease/keepalive", dump({{"ID", std::to_string(lease)}})};
}

EtcdRequest revoke_lease(std::uint64_t lease) {
  return {"/v3/lease/revoke", dump({{"ID", std::to_string(lease)}})};
}

EtcdRequest read_prefix(const std::string& prefix) {
  return {"/v3/kv/range", dump(range_of(prefix))};
}

EtcdRequest watch_prefix(const std::string& prefix, std::uint64_t from_revision) {
  Json create = range_of(prefix);
  create["start_revision"] = std::to_string(from_revision);
  return {"/v3/watch", dump({{"create_request", create}})};
}

EtcdRequest ask_status() {
  return {"/v3/maintenance/status", "{}"};
}

EtcdRequest authenticate(const std::string& user, const std::string& password) {
  return {"/v3/auth/authenticate", dump({{"name", user}, {"password", password}})};
}

Result<EtcdAnswer> read_answer(std::string_view body) {
  const Json json = parse(body);
  const auto revision = revision_of(json);
  if (!revision) return unreadable("a request");
  EtcdAnswer answer;
  answer.revision = *revision;
  const Json& succeeded = member(json, "succeeded");
  answer.succeeded = succeeded.is_boolean() && succeeded.get<bool>();
  if (!read_entries(json, answer.entries)) return unreadable("a read");
  const Json& responses = member(json, "responses");
  if (responses.is_array()) {
    for (const auto& response : responses) {
      if (!read_entries(member(response, "response_range"), answer.entries)) return unreadable("a read");
    }
  }
  return answer;
}

Result<std::uint64_t> read_granted(std::string_view body) {
  const auto lease = number_of(parse(body), "ID");
  if (!lease || *lease == 0) return unreadable("the request for a lease");
  return *lease;
}

Result<EtcdRenewal> read_renewal(std::string_view body) {
  const Json json = parse(body);
  const Json& result = member(json, "result");  // the gateway wraps what etcd streams
  const auto revision = revision_of(result);
  const auto seconds = number_of(result, "TTL");
  if (!revision || !seconds) return unreadable("the renewal of a lease");
  return EtcdRenewal{*revision, *seconds > 0};
}

Result<std::string> read_token(std::string_view body) {
  std::string token = text_of(parse(body), "token");
  if (token.empty()) return unreadable("a login");
  return token;
}

Result<EtcdStatus> read_status(std::string_view body) {
  const Json json = parse(body);
  EtcdStatus status;
  status.version = printable(text_of(json, "version"));
  const auto leader = number_of(json, "leader");
  if (status.version.empty() || !leader) return unreadable("the question how it is");
  status.has_leader = *leader != 0;
  if (const Json& errors = member(json, "errors"); errors.is_array()) {
    for (const auto& each : errors) {
      std::string text = each.is_string() ? each.get<std::string>() : each.dump();
      text.erase(text.find_last_not_of(' ') + 1);
      status.errors.push_back(printable(std::move(text)));
    }
  }
  return status;
}

Result<EtcdNews> read_news(std::string_view line) {
  const Json json = parse(line);
  const Json& result = member(json, "result");
  if (!result.is_object()) return Error{"etcd ends a watch: " + refusal_text(line)};
  const Json& canceled = member(result, "canceled");
  if (canceled.is_boolean() && canceled.get<bool>())
    return Error{"etcd ends a watch: " + printable(text_of(result, "cancel_reason"))};
  const auto revision = revision_of(result);
  if (!revision) return unreadable("a watch");
  EtcdNews news;
  news.revision = *revision;
  const Json& events = member(result, "events");
  if (events.is_null()) return news;
  if (!events.is_array()) return unreadable("a watch");
  for (const auto& each : events) {
    EtcdEvent event;
    event.gone = text_of(each, "type") == "DELETE";
    auto entry = read_entry(member(each, "kv"));
    if (!entry) return unreadable("a watch");
    event.entry = std::move(*entry);
    news.events.push_back(std::move(event));
  }
  return news;
}

std::string refusal_text(std::string_view body) {
  if (const std::string told = told_by_etcd(body); !told.empty()) return printable(told);
  // What etcd's gateway itself refuses, or a proxy before it, is plain text: "CommonName of client sending a …".
  const std::string_view line = body.substr(0, body.find_first_of("\r\n"));
  const bool is_text = !line.empty() && line.size() <= kTextMax &&
                       std::string_view("<{[\"").find(line.front()) == std::string_view::npos &&
                       std::ranges::all_of(line, is_printable);
  return is_text ? std::string(line) : "it gives no reason";
}

bool lease_is_unknown(std::string_view body) {
  return told_by_etcd(body).find("requested lease not found") != std::string::npos;
}

bool token_is_wrong(std::string_view body) {
  return is_about_the_token(told_by_etcd(body));
}

bool watch_needs_another_token(std::string_view line) {
  const std::string why = text_of(member(parse(line), "result"), "cancel_reason");
  return is_about_the_token(why) || why.find("permission denied") != std::string::npos || token_is_wrong(line);
}

}  // namespace pgkeel
