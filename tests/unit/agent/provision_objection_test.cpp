#include "replication/agent/provision_objection.h"

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

NodeHostFacts empty_host() {
  NodeHostFacts facts;
  facts.nothing_runs = true;
  facts.host.data_directory_is_empty = true;
  facts.host.postgres_version = "15.14";
  return facts;
}

}  // namespace

TEST_CASE("an empty host has nothing against being filled, and each other says what to do") {
  CHECK(objection_to_provision("b", empty_host(), 150010).empty());
  CHECK(objection_to_provision("b", empty_host(), 0).empty());
  const auto objects = [](const NodeHostFacts& facts, const std::string& why) {
    const auto objection = objection_to_provision("b", facts, 150010);
    CHECK_MESSAGE(objection.find(why) != std::string::npos, objection);
  };
  auto facts = empty_host();
  facts.host.data_directory_is_empty = false;
  objects(facts, "the data directory of b is not empty, and no data directory of PostgreSQL");
  facts.data_directory_exists = true;
  objects(facts, "the data directory of b holds a server already; nothing was touched: `pgkeel rejoin`");
  facts = empty_host();
  facts.nothing_runs = false;
  objects(facts, "processes of a server run");
  facts = empty_host();
  facts.host.postgres_version.clear();
  objects(facts, "PostgreSQL is not installed on the host of b");
  facts = empty_host();
  facts.host.missing_programs = {"pg_basebackup"};
  objects(facts, "there is no pg_basebackup");
  facts = empty_host();
  facts.host.postgres_version = "16.1";
  objects(facts, "has PostgreSQL 16.1, and the primary is of version 15");
  facts = empty_host();
  facts.host.data_directory_is_mount_point = true;
  objects(facts, "is a mount point");
  facts = empty_host();
  facts.host.parent_is_writable = false;
  objects(facts, "let pgkeel write there");
}
