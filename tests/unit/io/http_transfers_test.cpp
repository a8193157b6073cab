// HttpTransfers where host names are looked up by a script, which may leave them waiting.
#include "proxy/io/http_transfers.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/scripted_http.h"

using namespace pgkeel;
using namespace pgkeel::test;
using namespace std::chrono_literals;

namespace {

// A name server that answers what it is told to, when it is told to.
class Names {
 public:
  HttpTransfers::LookUp look_up() {
    return [this](const std::string& host, NameLookup::Done done) {
      asked_[host].push_back(std::move(done));
      return std::make_shared<int>();
    };
  }
  [[nodiscard]] std::size_t times_asked(const std::string& host) { return asked_[host].size(); }
  void answer(const std::string& host, Result<std::vector<std::string>> addresses) {
    asked_[host].back()(std::move(addresses));
  }

 private:
  std::map<std::string, std::vector<NameLookup::Done>> asked_;
};

struct Setup {
  using Answer = std::optional<Result<HttpTransferAnswer>>;

  HttpTransfers::Id start(const std::string& from, Duration limit, Answer& answer) {
    HttpTransfer transfer;
    transfer.url = from;
    transfer.limit = limit;
    return transfers.start(std::move(transfer), [&](Result<HttpTransferAnswer> told) { answer = std::move(told); });
  }

  Loop loop;
  Names names;
  ScriptedHttp server{loop};
  const std::string url = server.url("etcd.example") + "/version";
  HttpTransfers transfers{loop, names.look_up()};
};

}  // namespace

TEST_CASE("a name server that does not answer costs a transfer its limit, and the loop nothing") {
  Setup setup;
  Setup::Answer answer;
  setup.start(setup.url, 50ms, answer);
  CHECK_FALSE(answer);
  REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
  REQUIRE_FALSE(*answer);
  CHECK(answer->error().message == setup.url + ": cannot look up etcd.example: no name server answers in time");

  // Two more wait for the same answer, and one of them is given up.
  Setup::Answer given_up;
  const auto id = setup.start(setup.url, 20s, given_up);
  answer.reset();
  HttpTransfer stream;
  stream.url = setup.url;
  setup.transfers.start(std::move(stream), [&](Result<HttpTransferAnswer> told) { answer = std::move(told); });
  setup.transfers.cancel(id);
  CHECK(setup.names.times_asked("etcd.example") == 1);
  setup.names.answer("etcd.example", std::vector<std::string>{"127.0.0.1"});
  auto request = setup.server.next();
  CHECK(request.has("Host: etcd.example:"));
  request.answer("200 OK", "{}");
  REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
  REQUIRE(*answer);
  CHECK((*answer)->body == "{}");
  CHECK_FALSE(given_up);
}

TEST_CASE("where a name has been looked up once, its addresses are good until there are others") {
  Setup setup;
  const auto answered = [&] {
    Setup::Answer answer;
    setup.start(setup.url, 20s, answer);
    setup.server.next().answer("200 OK", "{}");
    REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
    return answer->has_value();
  };
  Setup::Answer first;
  setup.start(setup.url, 20s, first);
  setup.names.answer("etcd.example", std::vector<std::string>{"127.0.0.1"});
  setup.server.next().answer("200 OK", "{}");
  REQUIRE(run_until(setup.loop, [&] { return first.has_value(); }));
  CHECK(answered());
  CHECK(setup.names.times_asked("etcd.example") == 1);

  // After a failure it is looked up again, beside what goes on; whether that hangs or fails makes no difference.
  setup.server.listener().close();
  Setup::Answer refused;
  setup.start(setup.url, 20s, refused);
  REQUIRE(run_until(setup.loop, [&] { return refused.has_value(); }));
  CHECK_FALSE(*refused);
  setup.server.listener().reopen();
  CHECK(answered());
  CHECK(setup.names.times_asked("etcd.example") == 2);
  setup.names.answer("etcd.example", Error{"no name server"});
  CHECK(answered());
  CHECK(setup.names.times_asked("etcd.example") == 2);
}

TEST_CASE("a name that moves is found where it is now") {
  Setup setup;
  Setup::Answer answer;
  setup.start(setup.url, 20s, answer);
  setup.names.answer("etcd.example", std::vector<std::string>{"127.0.0.9"});  // where nobody listens
  REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
  CHECK_FALSE(*answer);
  answer.reset();
  setup.start(setup.url, 20s, answer);  // it sets off for what was good last
  setup.names.answer("etcd.example", std::vector<std::string>{"fe80::1%lo", "::1", "127.0.0.1"});
  REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
  CHECK_FALSE(*answer);
  answer.reset();
  setup.start(setup.url, 20s, answer);
  setup.server.next().answer("200 OK", "{}");
  REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
  CHECK(*answer);
}

TEST_CASE("a name that is not known is an error that names it, and numeric addresses need no name server") {
  Setup setup;
  Setup::Answer answer;
  setup.start(setup.url, 20s, answer);
  setup.names.answer("etcd.example", Error{"cannot look up etcd.example: unknown"});
  REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
  REQUIRE_FALSE(*answer);
  CHECK(answer->error().message == setup.url + ": cannot look up etcd.example: unknown");
  answer.reset();
  setup.start(setup.server.url(), 20s, answer);
  setup.server.next().answer("200 OK", "{}");
  REQUIRE(run_until(setup.loop, [&] { return answer.has_value(); }));
  CHECK(*answer);
  CHECK(setup.names.times_asked("127.0.0.1") == 0);
}
