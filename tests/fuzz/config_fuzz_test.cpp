// Damaged and random configuration files: each is read, or told what is wrong with it in lines that print.
#include <algorithm>
#include <string>
#include <string_view>

#include "config/changes.h"
#include "config/example.h"
#include "config/parse.h"
#include "tests/fuzz/fuzz.h"

using namespace pgkeel;
using namespace pgkeel::test;

namespace {

void read(const std::string& text) {
  const ConfigResult result = parse_config(text, "f");
  if (result) {
    CHECK_FALSE(result->clusters.empty());
    return;
  }
  const std::string told = format_problems(result.error());
  CHECK_FALSE(told.empty());
  CHECK(std::ranges::none_of(told, [](char c) { return c != '\n' && static_cast<unsigned char>(c) < 0x20; }));
}

// Pieces that TOML gives a meaning to, in any order.
std::string some_toml(Random& random) {
  const std::string_view pieces[] = {"[",
                                     "]",
                                     "[[",
                                     "]]",
                                     "{",
                                     "}",
                                     "=",
                                     ".",
                                     ",",
                                     "\n",
                                     "\"",
                                     "'",
                                     "\"\"\"",
                                     "'''",
                                     "#",
                                     "\\",
                                     "1e9",
                                     "0x",
                                     "true",
                                     "1979-05-27",
                                     "\"3s\"",
                                     "[proxy]\n",
                                     "[cluster.o]\n",
                                     "[[cluster.o.node]]\n",
                                     "cluster",
                                     "node",
                                     "listen = \"h:1\"\n",
                                     "name = \"a\"\n",
                                     "host = ",
                                     "local = {",
                                     "é",
                                     "\r\n"};
  std::string text;
  for (std::size_t left = random.below(40); left > 0; --left) text += random.one_of(pieces);
  return text;
}

}  // namespace

TEST_CASE("damaged configuration files") {
  const std::string example = example_toml();
  for_seeds(2'000, [&](std::uint64_t seed) {
    Random random(seed);
    std::string text = example;
    random.damage(text);
    read(text);
  });
}

TEST_CASE("a reload of a damaged file holds all of it, but for what waits for a restart, or nothing") {
  const Config running = parse_config(example_toml(), "f").value();
  for_seeds(2'000, [&](std::uint64_t seed) {
    Random random(seed);
    std::string text = example_toml();
    random.damage(text);
    const ConfigResult wanted = parse_config(text, "f");
    if (!wanted) return;
    const Config holds = without_restart(running, *wanted);
    for (const auto& change : config_changes(holds, *wanted)) CHECK(change.effect == ReloadEffect::kRestart);
    for (const auto& change : config_changes(running, holds)) CHECK(change.effect != ReloadEffect::kRestart);
  });
}

TEST_CASE("random configuration files") {
  for_seeds(5'000, [](std::uint64_t seed) {
    Random random(seed);
    read(random.one_in(5) ? random.bytes(random.length()) : some_toml(random));
  });
}
