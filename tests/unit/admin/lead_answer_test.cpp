#include "proxy/admin/lead_answer.h"

#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace pgkeel;
using namespace std::chrono_literals;

TEST_CASE("an order to hand over names a member, or none") {
  CHECK(parse_lead_request("")->to.empty());
  CHECK_FALSE(parse_lead_request("{}")->preview);
  CHECK(parse_lead_request(R"({"to": "two", "preview": true})")->to == "two");
  CHECK(parse_lead_request(R"({"to": "two", "preview": true})")->preview);
}

TEST_CASE("what is misspelt, or of a wrong type, orders nothing") {
  CHECK(parse_lead_request(R"({"too": "two"})").error().message == "\"too\" is not known here");
  CHECK(parse_lead_request(R"({"to": 2})").error().message == "\"to\" must be a string");
  CHECK(parse_lead_request(R"({"preview": "yes"})").error().message == "\"preview\" must be true or false");
  for (const std::string body : {"[]", "two", "{", "null"}) CHECK_FALSE(parse_lead_request(body).has_value());
}

TEST_CASE("an answer says who leads and for how long nobody did, or why not") {
  LeadAnswer done;
  done.accepted = true;
  done.leader = "two";
  done.without_leader = 12500us;
  const auto json = nlohmann::json::parse(lead_answer_json(done));
  CHECK(json == nlohmann::json({{"accepted", true}, {"leader", "two"}, {"without_leader_ms", 12.5}}));
  LeadAnswer refused;
  refused.reason = "pgkeel one leads: give the order to that one";
  CHECK(nlohmann::json::parse(lead_answer_json(refused)) ==
        nlohmann::json({{"accepted", false}, {"reason", refused.reason}}));
}
