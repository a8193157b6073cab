// Coordinator against a script: each of its steps whose answer is lost, late, out of order, or a refusal; a watch that
// breaks off; an etcd that has compacted its history.
#include "replication/coordination/coordinator.h"

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/scram_keys.h"
#include "tests/support/scripted_http.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

constexpr Duration kLimit = 30s;  // only ends a broken test
constexpr const char* kRange = "/v3/kv/range";
constexpr const char* kTransaction = "/v3/kv/txn";
constexpr const char* kWatch = "/v3/watch";
constexpr const char* kGrant = "/v3/lease/grant";
constexpr const char* kRenewal = "/v3/lease/keepalive";
const EtcdKeys kKeys("/p/");

std::string text_of(const EtcdKeyValue& entry) {
  return R"({"key":")" + to_base64(entry.key) + R"(","value":")" + to_base64(entry.value) + R"(","create_revision":")" +
         std::to_string(entry.created) + R"(","mod_revision":")" + std::to_string(entry.version) + "\"}";
}

std::string puts(const std::string& key) {
  return R"("request_put":{"key":")" + to_base64(key) + "\"";
}

class Story {
 public:
  using Request = ScriptedHttp::Request;

  Story() {
    CoordinationSettings settings;
    settings.etcd.endpoints = {etcd_.url()};
    settings.prefix = "/p/";
    settings.lease = 4s;
    settings.name = "one";
    settings.self.machine = "m1";
    settings.self.instance = "i1";
    settings.self.address = "one:1";
    coordinator.emplace(
        loop, std::move(settings), [](const std::string&, const PromiseRequest&, const auto&) {}, [] {});
    coordinator->start();
  }

  // The next request for this path with these words in it; others wait. Renewals are answered in between, unless they
  // are what is wanted or kept.
  Request take(const std::string& path, const std::string& words = "") {
    INFO("waits for ", path, " with ", words);
    for (const Instant limit = monotonic_now() + kLimit;;) {
      REQUIRE(monotonic_now() < limit);
      const auto found =
          std::ranges::find_if(waiting_, [&](const Request& each) { return each.is_for(path) && each.has(words); });
      if (found != waiting_.end()) {
        Request request = std::move(*found);
        waiting_.erase(found);
        return request;
      }
      hear();
    }
  }
  void run_until_holds(const std::function<bool()>& condition) {
    for (const Instant limit = monotonic_now() + kLimit; !condition();) {
      REQUIRE(monotonic_now() < limit);
      REQUIRE(run_until(loop, [&] { return condition() || etcd_.listener().somebody_waits(); }));
      if (!condition()) hear();
    }
  }
  // Nothing of this kind is asked before a renewal is, which is asked for every half second.
  bool is_not_asked(const std::string& path) {
    keeps_renewals = true;
    take(kRenewal).answer("200 OK", renewed());
    keeps_renewals = false;
    return std::ranges::none_of(waiting_, [&](const Request& each) { return each.is_for(path); });
  }

  std::uint64_t put(const std::string& key, const std::string& value) {
    EtcdKeyValue& entry = entries_[key];
    ++revision;
    entry = {key, value, entry.created == 0 ? revision : entry.created, revision};
    return revision;
  }
  void remove(const std::string& key) {
    ++revision;
    entries_.erase(key);
  }
  [[nodiscard]] std::string header() const { return R"({"header":{"revision":")" + std::to_string(revision) + "\"}"; }
  [[nodiscard]] std::string renewed() const { return R"({"result":)" + header() + R"(,"TTL":"4"}})"; }
  [[nodiscard]] std::string all() const {
    std::string list;
    for (const auto& [key, entry] : entries_) list += (list.empty() ? "" : ",") + text_of(entry);
    return list;
  }
  [[nodiscard]] std::string read() const { return header() + R"(,"kvs":[)" + all() + "]}"; }
  [[nodiscard]] std::string carried_out(bool succeeded = true) const {
    return header() + R"(,"succeeded":)" + (succeeded ? "true" : "false") +
           R"(,"responses":[{"response_range":{"kvs":[)" + all() + "]}}]}";
  }
  // Of one key, as it is now; empty: it is gone.
  [[nodiscard]] std::string news(const std::string& key) const {
    const auto entry = entries_.find(key);
    const std::string event = entry == entries_.end() ? R"({"type":"DELETE","kv":{"key":")" + to_base64(key) +
                                                            R"(","mod_revision":")" + std::to_string(revision) + "\"}}"
                                                      : R"({"kv":)" + text_of(entry->second) + "}";
    return R"({"result":)" + header() + R"(,"events":[)" + event + "]}}\n";
  }
  void tell(const std::string& key) { watch->client.send(news(key)); }

  void enroll(Request request) {
    LiveMember self;
    self.machine = "m1";
    self.instance = "i1";
    self.address = "one:1";
    put(kKeys.member("one"), write_live_member(self));
    request.answer("200 OK", carried_out());
  }
  // The one that was before is over then.
  void begin_watch() {
    watch = take(kWatch);
    watch->begin_answer("200 OK", "");
  }
  void found_roster() {
    Request request = take(kTransaction, puts(kKeys.roster()));
    put(kKeys.roster(), write_roster({0, {"one"}}));
    request.answer("200 OK", carried_out());
    tell(kKeys.roster());
  }
  void elect(Request request) {
    put(kKeys.leader(), write_leader("one", "i1"));
    request.answer("200 OK", carried_out());
    tell(kKeys.leader());
    run_until_holds([&] { return leads(); });
  }
  // As everything goes well.
  void come_to_lead() {
    take(kRange).answer("200 OK", read());
    begin_watch();
    take(kGrant).answer("200 OK", R"({"ID":"7","TTL":"4"})");
    enroll(take(kTransaction, puts(kKeys.member("one"))));
    begin_watch();
    found_roster();
    elect(take(kTransaction, puts(kKeys.leader())));
  }
  // What became of it, when it is known.
  std::optional<Result<void>>& write_memory(const std::string& text) {
    written.reset();
    coordinator->write_memory("orders", text, [this](Result<void> result) { written = std::move(result); });
    return written;
  }
  std::string what_became_of_it() {
    run_until_holds([&] { return written.has_value(); });
    return *written ? "written" : written->error().message;
  }

  [[nodiscard]] bool leads() const { return membership().leads(Coordinator::now()); }
  [[nodiscard]] const Membership& membership() const { return coordinator->membership(); }

  Loop loop;
  std::uint64_t revision = 4;
  bool keeps_renewals = false;
  std::optional<Request> watch;
  std::optional<Result<void>> written;
  std::optional<Coordinator> coordinator;

 private:
  void hear() {
    Request request = etcd_.next();
    if (request.is_for(kRenewal) && !keeps_renewals)
      request.answer("200 OK", renewed());
    else
      waiting_.push_back(std::move(request));
  }

  ScriptedHttp etcd_{loop};
  std::map<std::string, EtcdKeyValue> entries_;
  std::list<Request> waiting_;
};

}  // namespace

TEST_CASE("a step whose answer is lost is taken again, and nothing is believed of it") {
  Story story;
  // Whatever is asked first is not answered; where it was carried out is another matter.
  story.take(kRange).client.close();
  story.take(kGrant).client.close();
  story.run_until_holds([&] { return !story.coordinator->problem().empty(); });
  story.take(kGrant).answer("200 OK", R"({"ID":"7","TTL":"4"})");
  story.take(kRange).answer("200 OK", story.read());
  story.begin_watch();

  Story::Request registration = story.take(kTransaction, puts(kKeys.member("one")));
  registration.client.close();
  CHECK(story.membership().state().members.empty());
  story.enroll(story.take(kTransaction, puts(kKeys.member("one"))));
  story.begin_watch();

  // It was carried out all the same, and the watch tells; the second attempt finds that.
  Story::Request roster = story.take(kTransaction, puts(kKeys.roster()));
  roster.client.close();
  story.run_until_holds([&] { return !story.coordinator->problem().empty(); });
  CHECK(story.membership().state().roster.version == 0);
  story.put(kKeys.roster(), write_roster({0, {"one"}}));
  story.tell(kKeys.roster());
  story.run_until_holds([&] { return story.membership().state().roster.version != 0; });

  Story::Request campaign = story.take(kTransaction, puts(kKeys.leader()));
  campaign.answer("503 Service Unavailable", R"({"error":"etcdserver: request timed out","code":14})");
  CHECK_FALSE(story.leads());
  story.elect(story.take(kTransaction, puts(kKeys.leader())));
  CHECK(story.membership().state().term == story.revision);
}

TEST_CASE("a write whose answer is lost: the watch tells whether it was carried out") {
  Story story;
  story.come_to_lead();

  story.write_memory("first");
  Story::Request request = story.take(kTransaction, puts(kKeys.memory("orders")));
  story.put(kKeys.memory("orders"), "first");
  story.tell(kKeys.memory("orders"));
  story.run_until_holds([&] { return !story.membership().state().memories.empty(); });
  request.client.close();
  CHECK(story.what_became_of_it() == "written");

  // The watch has told nothing yet.
  story.write_memory("second");
  request = story.take(kTransaction, puts(kKeys.memory("orders")));
  CHECK(request.has(R"("mod_revision":")" + std::to_string(story.revision) + "\""));
  request.client.close();
  CHECK(story.what_became_of_it().find("it may have been written all the same") != std::string::npos);

  // A request that was sent twice finds itself.
  story.write_memory("third");
  request = story.take(kTransaction, puts(kKeys.memory("orders")));
  story.put(kKeys.memory("orders"), "third");
  story.tell(kKeys.memory("orders"));
  story.run_until_holds([&] { return story.membership().state().memories.at("orders").text == "third"; });
  request.answer("200 OK", story.carried_out(false));
  CHECK(story.what_became_of_it() == "written");

  // Somebody else wrote.
  story.write_memory("fourth");
  request = story.take(kTransaction, puts(kKeys.memory("orders")));
  story.put(kKeys.memory("orders"), "of another one");
  story.tell(kKeys.memory("orders"));
  story.run_until_holds([&] { return story.membership().state().memories.at("orders").text == "of another one"; });
  request.answer("200 OK", story.carried_out(false));
  CHECK(story.what_became_of_it() == "another pgkeel leads, or wrote meanwhile");

  // etcd says no, and it is known that nothing happened.
  story.write_memory("fifth");
  story.take(kTransaction, puts(kKeys.memory("orders")))
      .answer("400 Bad Request", R"({"error":"etcdserver: mvcc: database space exceeded","code":8})");
  CHECK(story.what_became_of_it().ends_with("database space exceeded"));
}

TEST_CASE("a term that ends while a write is under way: it is not taken for this one's, whatever the watch tells") {
  Story story;
  story.come_to_lead();
  story.write_memory("first");
  Story::Request request = story.take(kTransaction, puts(kKeys.memory("orders")));
  story.remove(kKeys.leader());
  story.tell(kKeys.leader());
  story.run_until_holds([&] { return !story.leads(); });
  story.put(kKeys.leader(), write_leader("two", "i2"));
  story.tell(kKeys.leader());
  story.put(kKeys.memory("orders"), "first");
  story.tell(kKeys.memory("orders"));
  story.run_until_holds([&] { return !story.membership().state().memories.empty(); });
  request.client.close();
  CHECK(story.what_became_of_it() != "written");
  story.write_memory("second");
  CHECK(story.what_became_of_it() == "this pgkeel does not lead");
}

TEST_CASE("answers that come out of order: the newest renewal counts, and a read does not undo what the watch told") {
  Story story;
  story.come_to_lead();
  story.keeps_renewals = true;
  int ready = 0;
  Story::Request own = story.take(kRenewal);
  story.coordinator->renew_now([&] { ++ready; });
  Story::Request second = story.take(kRenewal);
  second.answer("200 OK", story.renewed());
  story.run_until_holds([&] { return ready == 1; });
  const Instant renewed_at = story.membership().renewed_at();
  // This one was sent before.
  own.answer("200 OK", story.renewed());
  story.coordinator->renew_now([&] { ++ready; });
  story.take(kRenewal).client.close();
  story.run_until_holds([&] { return ready == 2; });
  CHECK(story.membership().renewed_at() == renewed_at);
  story.keeps_renewals = false;

  // Something was written of which the watch says nothing: all is read, and meanwhile the watch speaks again.
  story.revision += 10;
  Story::Request reading = story.take(kRange);
  const std::string older = story.read();
  story.put(kKeys.memory("orders"), "newer");
  story.tell(kKeys.memory("orders"));
  story.run_until_holds([&] { return !story.membership().state().memories.empty(); });
  reading.answer("200 OK", older);
  CHECK(story.is_not_asked(kWatch));
  CHECK(story.membership().state().memories.at("orders").text == "newer");
  CHECK(story.leads());
}

TEST_CASE("a watch that breaks off, or whose revision was compacted, is begun anew behind a read") {
  for (const bool compacted : {false, true}) {
    CAPTURE(compacted);
    Story story;
    story.come_to_lead();
    const std::uint64_t term = story.membership().state().term;
    if (compacted)
      story.watch->client.send(
          R"({"result":)" + story.header() +
          R"(,"canceled":true,"compact_revision":"30","cancel_reason":"required revision has been compacted"}})"
          "\n");
    story.watch->client.close();
    story.put(kKeys.memory("orders"), "meanwhile");
    story.revision += 30;
    Story::Request reading = story.take(kRange);
    CHECK_FALSE(story.coordinator->problem().empty());
    reading.answer("200 OK", story.read());
    Story::Request again = story.take(kWatch);
    CHECK(again.has(R"("start_revision":")" + std::to_string(story.revision + 1) + "\""));
    again.begin_answer("200 OK", "");
    CHECK(story.membership().state().memories.at("orders").text == "meanwhile");
    CHECK(story.membership().state().term == term);
    CHECK(story.leads());
    story.run_until_holds([&] { return story.coordinator->problem().empty(); });
  }
}

TEST_CASE("a watch that breaks off while etcd does not answer: reading is tried again, and the lease goes on") {
  Story story;
  story.come_to_lead();
  story.watch->client.close();
  for (int times = 0; times < 2; ++times) story.take(kRange).client.close();
  CHECK(story.leads());
  story.take(kRange).answer("200 OK", R"({"nonsense":)");
  story.run_until_holds([&] { return story.coordinator->problem().find("cannot be read") != std::string::npos; });
  story.take(kRange).answer("200 OK", story.read());
  story.begin_watch();
  story.run_until_holds([&] { return story.coordinator->problem().empty(); });
  CHECK(story.leads());
}

TEST_CASE("a lease that etcd does not know any more is followed by another one, under which it registers again") {
  Story story;
  story.come_to_lead();
  story.keeps_renewals = true;
  story.take(kRenewal).answer("404 Not Found", R"({"error":"etcdserver: requested lease not found","code":5})");
  story.run_until_holds([&] { return !story.leads(); });
  story.keeps_renewals = false;
  story.remove(kKeys.member("one"));
  story.tell(kKeys.member("one"));
  story.remove(kKeys.leader());
  story.tell(kKeys.leader());
  Story::Request grant = story.take(kGrant);
  story.run_until_holds([&] { return story.membership().state().leader.empty(); });
  grant.answer("200 OK", R"({"ID":"8","TTL":"4"})");
  story.enroll(story.take(kTransaction, puts(kKeys.member("one"))));
  CHECK(story.coordinator->lease() == 8);
  story.begin_watch();
  story.elect(story.take(kTransaction, puts(kKeys.leader())));
}

TEST_CASE("whoever leaves does so whether etcd says anything or not") {
  for (const bool answers : {true, false}) {
    Story story;
    story.come_to_lead();
    bool left = false;
    story.coordinator->leave([&] { left = true; });
    CHECK_FALSE(story.leads());
    Story::Request request = story.take("/v3/lease/revoke", R"("ID":"7")");
    if (answers)
      request.answer("200 OK", story.header() + "}");
    else
      request.client.close();
    story.run_until_holds([&] { return left; });
  }
}
