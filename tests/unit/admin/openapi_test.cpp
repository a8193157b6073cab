// openapi.json against what is served: every path, every answer to every method, every member of a body, both ways.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "proxy/admin/admin_server.h"
#include "proxy/admin/embedded.h"
#include "replication/state/decision_log.h"
#include "tests/support/described_answers.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

constexpr const char* kToken = "0123456789abcdef";
constexpr WallTime kThen{1'700'000'000s};
constexpr Lsn kLsn{0x3000148};

NodeStatus full_node(const std::string& name) {
  NodeStatus node;
  node.name = name;
  node.address = {"10.0.0.1", 5433};
  node.role = "standby";
  node.liveness = "alive";
  node.wal_position = kLsn;
  node.lag_bytes = 1;
  node.replication = ReplicationLag{1, 2, 3, 1ms, 2ms, 3ms};
  node.last_answer_ago = 10ms;
  node.agent_certificate_ends = kThen;
  node.own_certificate_ends = kThen;
  node.host = HostFacts{};
  node.host->disks = {{.holds = "pg_wal", .path = "/srv", .free_bytes = 1, .total_bytes = 2}};
  node.host->missing_programs = {"pg_rewind"};
  return node;
}

AgreementStatus full_agreement() {
  AgreementStatus agreement;
  agreement.leader = "left";
  agreement.etcd_heard_ago = 1ms;
  agreement.etcd_problem = "it does not answer";
  agreement.vip = VipStatus{.address = "10.0.0.9/24", .interface = "eth0", .is_held = true, .holder = "left"};
  MemberStatus member;
  member.name = "left";
  member.address = "10.0.0.21:7434";
  member.version = "1";
  member.differs_in = {"cluster.orders.durability"};
  member.cannot_decide = "it sees no node";
  agreement.members = {member};
  return agreement;
}

// Whatever can be there is.
ClusterStatus full_cluster() {
  ClusterStatus cluster;
  cluster.name = "orders";
  cluster.access_point = {"0.0.0.0", 5432};
  cluster.condition = "collision";
  cluster.phase = "steady";
  cluster.route = "a";
  cluster.durability = "strict";
  cluster.state_error = "the disk is full";
  cluster.nodes = {full_node("a"), full_node("b")};
  cluster.actions = {{.action = "rejoin b", .running = true, .succeeded = false, .message = "copies"}};
  cluster.collision = Collision{.sides = {{.node = "a", .timeline = 1, .wal_position = kLsn}},
                                .fork = TimelineFork{.timeline = 1, .end = kLsn}};
  OperatorOrder order;
  order.id = 7;
  order.node = "b";
  cluster.orders = {order};
  cluster.readiness = ReadinessReport{.readiness = {}, .looked_at = kThen};
  cluster.readiness->readiness.findings = {Finding{.rule = "wal_log_hints", .node = "a"}};
  cluster.left_slots = {{.slot = "s", .database = "d", .old_primary = "a", .text = "gone"}};
  cluster.maintenance = {{.node = "b", .since = kThen, .given_by = "127.0.0.1:1"}};
  cluster.lost_reports = {{.report = "r", .node = "b", .transactions = 1, .wal_bytes = 2}};
  cluster.certificates = {{.name = "client_tls", .file = "/c", .not_after = kThen}};
  cluster.sessions.errors_by_sqlstate = {{"57P01", 1}};
  ReaderStatus reader;
  reader.node = "b";
  reader.standing = "behind";
  reader.lag = 1ms;
  reader.lag_bytes = 1;
  cluster.read_only = ReadOnlyStatus{.access_point = {"0.0.0.0", 5434}, .nodes = {reader}, .sessions = {}};
  cluster.agreement = full_agreement();
  return cluster;
}

// Nothing is there that may lack, and nobody answers.
ClusterStatus bare_cluster() {
  ClusterStatus cluster;
  cluster.name = "bare";
  cluster.condition = "no route";
  cluster.phase = "unadopted";
  cluster.durability = "async";
  cluster.nodes.emplace_back().name = "x";
  cluster.nodes.back().liveness = "silent";
  return cluster;
}

DecisionRecord record(DecisionRecord::Kind kind, bool is_full) {
  DecisionRecord decision;
  decision.cluster = "orders";
  decision.kind = kind;
  decision.outcome = "done";
  decision.began = decision.decided = kThen;
  if (!is_full) return decision;
  decision.from = "a";
  decision.to = "b";
  decision.ordered_by = "127.0.0.1:1";
  decision.evidence = {{.node = "a", .liveness = "dead", .text = "its postmaster is gone", .since = kThen}};
  decision.candidates = {{.node = "b", .timeline = 1, .wal_position = kLsn, .safe = true}};
  decision.steps = {{.name = "promoted", .after = 1ms}};
  decision.wal.bytes_lacking = 1;
  decision.wal.as_of = kThen;
  decision.wal.old_primary_had_more = true;
  decision.wal.lost_report = "r";
  decision.beside_rows = DecisionRecord::BesideRows{};
  for (auto* names : {&decision.beside_rows->physical_slots, &decision.beside_rows->physical_slots_anew,
                      &decision.beside_rows->logical_slots, &decision.beside_rows->left})
    names->emplace_back("s");
  return decision;
}

enum class Mood { kAccepts, kRefuses, kHangs };

struct Endpoint {
  Endpoint() {
    events = std::move(*EventLog::open(folder.path()));
    decisions = std::move(*DecisionLog::open(folder.path()));
    Event event;
    event.cluster = "orders";
    event.when = kThen;
    events->record(event);
    for (const auto kind : {DecisionRecord::Kind::kFailover, DecisionRecord::Kind::kRejoin}) {
      decisions->keep(record(kind, true));
      decisions->keep(record(kind, false));
    }
    AdminSources sources;
    sources.clusters = [this]() -> std::optional<std::vector<ClusterStatus>> {
      if (mood == Mood::kHangs) return std::nullopt;
      return std::vector{full_cluster(), bare_cluster()};
    };
    sources.metrics = [](const auto&) { return std::string("# a metric\n"); };
    sources.events = events.get();
    sources.decisions = decisions.get();
    sources.tokens = {{"", kToken}};
    sources.audit = [](const std::string&) {};
    sources.configuration = [] {
      ConfigurationStatus configuration;
      configuration.problems = {"f:1:1: no"};
      configuration.waiting = {"proxy.workers"};
      configuration.certificates = {{.name = "admin", .file = "/c", .not_after = kThen}};
      return configuration;
    };
    sources.process = [this]() -> std::optional<ProcessStatus> {
      if (mood == Mood::kHangs) return std::nullopt;
      ProcessStatus process;
      process.former = {{.pid = 1, .sessions = 2}};
      return process;
    };
    sources.give_order = [this](const std::string&, const OperatorOrder&, bool) -> std::optional<OrderAnswer> {
      if (mood == Mood::kHangs) return std::nullopt;
      return OrderAnswer{.accepted = mood == Mood::kAccepts,
                         .id = 7,
                         .reason = "no",
                         .consequences = "b is promoted",
                         .bytes_at_stake = 1};
    };
    sources.restart = [this](const std::string&) -> std::optional<Result<void>> {
      if (mood == Mood::kHangs) return std::nullopt;
      return mood == Mood::kAccepts ? Result<void>() : Result<void>(Error{"no"});
    };
    sources.lead = [this](const LeadRequest&, const std::string&) -> std::optional<LeadAnswer> {
      if (mood == Mood::kHangs) return std::nullopt;
      return LeadAnswer{.accepted = mood == Mood::kAccepts,
                        .reason = "no",
                        .leader = "left",
                        .consequences = "it leads",
                        .without_leader = 1ms};
    };
    sources.reload = [this](const std::string&, bool) -> std::optional<ReloadAnswer> {
      if (mood == Mood::kHangs) return std::nullopt;
      ReloadAnswer answer;
      answer.accepted = mood == Mood::kAccepts;
      answer.problems = {"no"};
      answer.notes = {"stays"};
      answer.changes = {{.kind = ConfigChange::Kind::kChanged, .path = "proxy.workers", .before = "1", .after = "2"},
                        {.kind = ConfigChange::Kind::kAdded, .path = "log.level", .before = "", .after = "\"info\""}};
      return answer;
    };
    server = std::move(*AdminServer::start({"127.0.0.1", 0}, std::move(sources)));
  }

  int get(const std::string& path, const httplib::Headers& headers = {}) {
    httplib::Client client("127.0.0.1", server->port());
    return hold("GET", path, client.Get(path, headers));
  }
  int post(const std::string& path, const std::string& body, const std::string& token = kToken,
           const std::string& type = "application/json", const std::string& host = "localhost") {
    httplib::Client client("127.0.0.1", server->port());
    httplib::Headers headers = {{"Host", host}};
    if (!token.empty()) headers.emplace("Authorization", "Bearer " + token);
    return hold("POST", path, client.Post(path, headers, body, type));
  }
  int hold(const std::string& method, const std::string& path, const httplib::Result& answer) {
    REQUIRE_MESSAGE(answer, path);
    const auto differences = described.differences({.method = method,
                                                    .path = path.substr(0, path.find('?')),
                                                    .status = answer->status,
                                                    .content_type = answer->get_header_value("Content-Type"),
                                                    .body = answer->body});
    for (const auto& difference : differences) FAIL_CHECK(difference);
    return answer->status;
  }

  Mood mood = Mood::kAccepts;
  DescribedAnswers described{openapi_json()};
  TemporaryFolder folder;
  std::unique_ptr<EventLog> events;
  std::unique_ptr<DecisionLog> decisions;
  std::unique_ptr<AdminServer> server;
};

// Paths of this method, with real names in them.
std::vector<std::string> paths_of(const std::string& method) {
  std::vector<std::string> paths;
  const Json document = Json::parse(openapi_json());
  for (const auto& [pattern, operations] : document["paths"].items()) {
    if (!operations.contains(method)) continue;
    std::string path = pattern;
    for (const auto& [name, value] :
         {std::pair("{cluster}", "orders"), std::pair("{node}", "a"), std::pair("{id}", "7")}) {
      if (const auto at = path.find(name); at != std::string::npos) path.replace(at, std::string(name).size(), value);
    }
    paths.push_back(path);
  }
  return paths;
}

// With all that may be there, or only with what must.
Json example_body(const Json& schema, bool is_full) {
  Json body = Json::object();
  const auto members = schema.find("properties");
  if (members == schema.end()) return body;
  const Json needed = schema.value("required", Json::array());
  for (const auto& [name, member] : members->items()) {
    const bool is_needed = std::find(needed.begin(), needed.end(), name) != needed.end() || name == "name";
    if (name == "preview" || (!is_full && !is_needed)) continue;
    body[name] = name == "name" ? Json("orders") : member.value("type", "") == "string" ? Json("b") : Json(true);
  }
  return body;
}

}  // namespace

TEST_CASE("openapi.json describes what is served, no more and no less") {
  Endpoint endpoint;
  httplib::Client client("127.0.0.1", endpoint.server->port());
  const Json document = Json::parse(client.Get("/api/v1/openapi.json")->body);
  CHECK(document == Json::parse(openapi_json()));
  std::vector<std::string> described;
  for (const auto& [path, operations] : document["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      if (method == "parameters") continue;
      described.push_back((method == "get" ? "GET " : "POST ") + path);
      CHECK_MESSAGE(operation.contains("security") == (method == "post"), path);
    }
  }
  auto served = endpoint.server->routes();
  std::ranges::sort(served);
  std::ranges::sort(described);
  CHECK(served == described);
}

TEST_CASE("every reference in openapi.json leads somewhere, and every schema is used") {
  const Json document = Json::parse(openapi_json());
  std::vector<std::string> used;
  std::vector<const Json*> left = {&document};
  while (!left.empty()) {
    const Json& here = *left.back();
    left.pop_back();
    for (const auto& [key, value] : here.items()) {
      if (key == "$ref") {
        used.push_back(value.get<std::string>().substr(1));
        CHECK_MESSAGE(document.contains(Json::json_pointer(used.back())), used.back());
      }
      if (value.is_structured()) left.push_back(&value);
    }
  }
  for (const char* kind : {"schemas", "responses", "parameters", "headers"}) {
    for (const auto& [name, part] : document["components"][kind].items()) {
      const std::string place = std::string("/components/") + kind + "/" + name;
      CHECK_MESSAGE(std::ranges::find(used, place) != used.end(), place);
    }
  }
}

TEST_CASE("what a GET is answered with is described, member by member, and each described member is served") {
  Endpoint endpoint;
  for (const auto& path : paths_of("get")) {
    CAPTURE(path);
    endpoint.get(path);
    const bool is_for_people = path == "/" || path.starts_with("/console") || path.starts_with("/api");
    CHECK((endpoint.get(path, {{"Host", "evil.example"}}) == 421) == is_for_people);
  }
  CHECK(endpoint.get("/api/v1/clusters/bare") == 200);
  CHECK(endpoint.get("/api/v1/events?after=x") == 400);
  CHECK(endpoint.get("/api/v1/clusters/nobody") == 404);
  CHECK(endpoint.get("/api/v1/clusters/orders/orders/8") == 404);
  for (const char* path : {"/primary/nobody", "/replica/nobody", "/leader/nobody", "/primary/orders/z"}) {
    CAPTURE(path);
    CHECK(endpoint.get(path) == 404);
  }
  endpoint.mood = Mood::kHangs;
  for (const char* path :
       {"/healthz", "/readyz", "/primary", "/metrics", "/api/v1/clusters", "/api/v1/clusters/orders",
        "/api/v1/clusters/orders/orders/7", "/api/v1/clusters/orders/decisions", "/api/v1/process"}) {
    CAPTURE(path);
    CHECK(endpoint.get(path) == 503);
  }
  for (const char* schema : {"Cluster", "Configuration", "Decision", "Event", "Order", "Process"}) {
    for (const auto& member : endpoint.described.never_seen(schema)) FAIL_CHECK(member << " is never served");
  }
}

TEST_CASE("what a POST is answered with is described: a preview, for real, refused, and all that is wrong with it") {
  Endpoint endpoint;
  for (const auto& path : paths_of("post")) {
    CAPTURE(path);
    const bool is_order = path.starts_with("/api/v1/clusters/");
    const std::string body = example_body(endpoint.described.body_of(path), false).dump();
    endpoint.mood = Mood::kAccepts;
    CHECK(endpoint.post(path, body) == (is_order || path == "/api/v1/restart" ? 202 : 200));
    if (path != "/api/v1/restart") {
      Json preview = Json::parse(body);
      preview["preview"] = true;
      CHECK(endpoint.post(path, preview.dump()) == 200);
    }
    endpoint.mood = Mood::kRefuses;
    CHECK(endpoint.post(path, body) == 409);
    endpoint.mood = Mood::kHangs;
    CHECK(endpoint.post(path, body) == 503);
    endpoint.mood = Mood::kAccepts;
    CHECK(endpoint.post(path, "[]") == 400);
    CHECK(endpoint.post(path, body, "") == 401);
    CHECK(endpoint.post(path, body, kToken, "text/plain") == 415);
    CHECK(endpoint.post(path, body, kToken, "application/json", "evil.example") == 421);
    CHECK(endpoint.post(path, "{\"to\": \"" + std::string(100'000, 'b') + "\"}") == 413);
    CHECK(endpoint.get(path) == 405);
    if (!is_order) continue;
    std::string elsewhere = path;
    CHECK(endpoint.post(elsewhere.replace(path.find("orders"), 6, "nobody"), body) == 404);
  }
  for (const char* schema :
       {"OrderPreview", "OrderAccepted", "OrderRefused", "ReloadAnswer", "RestartAnswer", "LeadAnswer"}) {
    for (const auto& member : endpoint.described.never_seen(schema)) FAIL_CHECK(member << " is never served");
  }
  int wrong = 0;
  while (wrong < 20 && endpoint.post("/api/v1/reload", "{}", "fedcba987654321" + std::to_string(wrong)) == 401) ++wrong;
  CHECK(wrong == 5);
}

TEST_CASE("a body may have the members that are described, of their types, and no others") {
  Endpoint endpoint;
  for (const auto& path : paths_of("post")) {
    CAPTURE(path);
    const Json& schema = endpoint.described.body_of(path);
    const Json full = example_body(schema, true);
    CHECK(schema["additionalProperties"] == false);
    CHECK(endpoint.post(path, full.dump()) < 300);
    for (const auto& [name, value] : full.items()) {
      CAPTURE(name);
      Json wrong = full;
      wrong[name] = 7;
      CHECK(endpoint.post(path, wrong.dump()) == 400);
    }
    Json more = full;
    more["else"] = true;
    CHECK(endpoint.post(path, more.dump()) == 400);
    if (!schema.contains("required")) continue;
    for (const auto& name : schema["required"]) {
      Json less = full;
      less.erase(name.get<std::string>());
      CHECK(endpoint.post(path, less.dump()) == 400);
    }
  }
}
