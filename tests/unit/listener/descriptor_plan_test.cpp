#include "proxy/listener/descriptor_plan.h"

#include <string>

#include <doctest/doctest.h>

#include "proxy/io/descriptor_limit.h"

using namespace pgkeel;

namespace {

constexpr DescriptorNeeds kNeeds{.workers = 2, .endpoints = 1, .nodes = 2, .clients = 10'000};

}  // namespace

TEST_CASE("with the limit that is asked for there is room for all clients, with one less there is not") {
  for (const std::uint32_t clients : {1U, 10U, 100U, 1000U, 1533U, 1537U, 7470U, 7500U, 10'000U, 1'000'000U}) {
    CAPTURE(clients);
    DescriptorNeeds needs = kNeeds;
    needs.clients = clients;
    const auto ample = plan_descriptors(1ULL << 40, needs);
    REQUIRE(ample);
    CHECK(ample->clients == clients);
    const auto enough = plan_descriptors(ample->wanted, needs);
    REQUIRE(enough);
    CHECK(enough->clients == clients);
    if (clients < 10) continue;  // there is a least that is always asked for
    const auto scarce = plan_descriptors(ample->wanted - 2, needs);
    REQUIRE(scarce);
    CHECK(scarce->clients < clients);
    CHECK(scarce->wanted == ample->wanted);
  }
}

TEST_CASE("the parts never exceed the data path's, nor that what the reserve leaves") {
  for (std::uint64_t limit = 192; limit < 70'000; limit += 7) {
    CAPTURE(limit);
    const auto plan = plan_descriptors(limit, kNeeds);
    REQUIRE(plan);
    CHECK(2ULL * plan->clients + plan->newcomers <= plan->data_path);
    CHECK(plan->clients > 0);
    CHECK(plan->newcomers > 0);
    CHECK(limit - plan->data_path >= 150);
  }
}

TEST_CASE("what the clients leave is room for those who have not said who they are, up to a limit") {
  DescriptorNeeds needs = kNeeds;
  needs.clients = 1000;
  const auto ample = plan_descriptors(1ULL << 40, needs);
  const auto some = plan_descriptors(6000, needs);
  const auto scarce = plan_descriptors(2400, needs);
  REQUIRE(ample);
  REQUIRE(some);
  REQUIRE(scarce);
  CHECK(ample->newcomers == 8192);
  CHECK(some->newcomers == some->data_path - 2000);
  CHECK(scarce->newcomers == scarce->data_path / 4);
}

TEST_CASE("the reserve grows with what has to be watched") {
  const auto small = plan_descriptors(4096, kNeeds);
  const auto large = plan_descriptors(4096, {.workers = 16, .endpoints = 8, .nodes = 24, .clients = 10'000});
  REQUIRE(small);
  REQUIRE(large);
  CHECK(large->data_path < small->data_path);
}

TEST_CASE("where descriptors are many, the doors of the HTTP endpoints have their places among them") {
  const auto few = plan_descriptors(4095, kNeeds);
  const auto many = plan_descriptors(4096, kNeeds);
  REQUIRE(few);
  REQUIRE(many);
  CHECK(4096 - many->data_path == 4095 - few->data_path + 2 * door_places(4096));
  const auto ample = plan_descriptors(100'000, kNeeds);
  REQUIRE(ample);
  CHECK(100'000 - ample->data_path == 4095 - few->data_path + 2 * door_places(100'000));
}

TEST_CASE("a limit that leaves nothing to clients is an error that names the one to set") {
  const auto plan = plan_descriptors(128, kNeeds);
  REQUIRE_FALSE(plan);
  CHECK(plan.error().message.find("128") != std::string::npos);
  CHECK(plan.error().message.find("LimitNOFILE") != std::string::npos);
  const auto wanted = plan_descriptors(1'000'000, kNeeds);
  REQUIRE(wanted);
  CHECK(plan.error().message.find(std::to_string(wanted->wanted)) != std::string::npos);
}
