#include "proxy/io/descriptor_budget.h"

#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("no more is taken than there is, and what ends gives back") {
  DescriptorBudget budget(3);
  DescriptorShare first = budget.take();
  CHECK(first.held() == 1);
  CHECK(first.grow());
  {
    DescriptorShare second = budget.take();
    CHECK(second.held() == 1);
    CHECK_FALSE(second.grow());
    CHECK(second.held() == 1);
    CHECK(budget.take().held() == 0);
  }
  CHECK(budget.free() == 1);
  first.shrink_to(1);
  CHECK(budget.free() == 2);
  first.shrink_to(2);  // not a way to grow
  CHECK(first.held() == 1);
}

TEST_CASE("a share that was moved gives back once") {
  DescriptorBudget budget(4);
  {
    DescriptorShare first = budget.take();
    DescriptorShare second = budget.take();
    DescriptorShare moved = std::move(first);
    CHECK(moved.held() == 1);
    CHECK(budget.free() == 2);
    moved = std::move(second);
    CHECK(budget.free() == 3);
  }
  CHECK(budget.free() == 4);
}

TEST_CASE("several threads never take more than there is") {
  constexpr std::uint32_t kDescriptors = 5;
  DescriptorBudget budget(kDescriptors);
  std::atomic<std::uint32_t> taken{0};
  std::atomic<bool> too_many{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10'000; ++round) {
        DescriptorShare share = budget.take();
        if (share.held() == 0) continue;
        if (taken.fetch_add(1) >= kDescriptors) too_many = true;
        if (share.grow()) share.shrink_to(1);
        taken.fetch_sub(1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(too_many);
  CHECK(budget.free() == kDescriptors);
}
