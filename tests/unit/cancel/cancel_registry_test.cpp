#include "proxy/cancel/cancel_registry.h"

#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("a key leads to the server that gave it, until its session ends") {
  CancelRegistry registry;
  const CancelKey key{7, "abcd"};
  CHECK_FALSE(registry.find(key));
  const auto entry = registry.add(key, {"a", 3});
  CHECK(registry.find(key) == CancelRegistry::Owner{"a", 3});
  registry.remove(key, entry);
  CHECK_FALSE(registry.find(key));
}

TEST_CASE("process id and all of the secret must match") {
  CancelRegistry registry;
  registry.add({7, std::string(32, 'k')}, {"a", 1});
  CHECK(registry.find({7, std::string(32, 'k')}));
  CHECK_FALSE(registry.find({8, std::string(32, 'k')}));
  CHECK_FALSE(registry.find({7, std::string(31, 'k')}));
  CHECK_FALSE(registry.find({7, std::string(31, 'k') + 'x'}));
  CHECK_FALSE(registry.find({7, ""}));
}

TEST_CASE("of two sessions with one key the newest counts, and each removes its own") {
  CancelRegistry registry;
  const CancelKey key{7, "abcd"};
  const auto old_entry = registry.add(key, {"a", 1});
  const auto new_entry = registry.add(key, {"b", 2});
  CHECK(registry.find(key)->node == "b");
  registry.remove(key, old_entry);
  CHECK(registry.find(key)->node == "b");
  registry.remove(key, new_entry);
  CHECK_FALSE(registry.find(key));
}

TEST_CASE("sessions of several threads do not disturb each other") {
  CancelRegistry registry;
  std::vector<std::thread> threads;
  for (std::uint32_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&registry, thread] {
      for (std::uint32_t round = 0; round < 500; ++round) {
        const CancelKey key{round * 4 + thread, "key" + std::to_string(thread)};
        const auto entry = registry.add(key, {"a", thread});
        if (registry.find(key)->epoch != thread) std::abort();
        registry.remove(key, entry);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(registry.find({0, "key0"}));
}
