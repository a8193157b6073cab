#include "config/parse.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/config/config_text.h"

using namespace pgkeel;

namespace {

// All problems of the text, one line each.
std::string problems_of(std::string_view text) {
  const ConfigResult result = parse_config(text, "f");
  return result ? "" : format_problems(result.error());
}

Config config_of(std::string_view text) {
  const ConfigResult result = parse_config(text, "f");
  if (!result) FAIL(format_problems(result.error()));
  return *result;
}

}  // namespace

TEST_CASE("a minimal file gets the defaults of every other key") {
  const Config config = config_of(kMinimal);
  REQUIRE(config.clusters.size() == 1);
  const ClusterConfig& cluster = config.clusters[0];
  CHECK(cluster.name == "orders");
  CHECK(cluster.listen == HostPort{"0.0.0.0", 6432});
  CHECK(cluster.durability == Durability::kAvailable);
  CHECK(cluster.monitor.user == "pgkeel");
  CHECK(cluster.replication.user == "pgkeel_repl");
  REQUIRE(cluster.nodes.size() == 2);
  CHECK(cluster.nodes[0].name == "a");
  CHECK(cluster.nodes[0].address == HostPort{"10.0.0.1", 5432});
  CHECK(cluster.nodes[1].address == HostPort{"/run/postgresql", 5433});
  CHECK_FALSE(cluster.nodes[0].local.has_value());
  CHECK(config.proxy.max_client_connections == 10000);
  CHECK(config.admin.listen == HostPort{"127.0.0.1", 7432});
}

TEST_CASE("every kind of value is read") {
  const Config config = config_of(R"(
    proxy = { workers = 3, hold_timeout = "250ms", no_route = "refuse" }
    log.level = "warning"
    log.format = "json"
    state.directory = "/s"
    admin.listen = "[::1]:0"
    [cluster.orders]
    listen = "localhost:0"
    allow = ["10.0.0.0/8", "fd00::/8", "10.1.1.1/32"]
    failover = "manual"
    auto_rejoin = false
    failover_pause = "2h"
    monitor = { user = "m", database = "d", password_file = "/p" }
    detection = { interval = "100ms", when_path_cut = "wait" }
    node = [{ name = "n_1", host = "::1", port = 1, priority = 0, local = { data_directory = "/d", bin_directory = "/b", os_user = "postgres" } }]
  )");
  CHECK(config.proxy.workers == 3);
  CHECK(config.proxy.hold_timeout == 250ms);
  CHECK(config.proxy.no_route == NoRoutePolicy::kRefuse);
  CHECK(config.log.level == LogLevel::kWarning);
  CHECK(config.log.format == LogFormat::kJson);
  CHECK(config.state_directory == "/s");
  CHECK(config.admin.listen == HostPort{"::1", 0});
  const ClusterConfig& cluster = config.clusters.at(0);
  CHECK(cluster.allow == std::vector<std::string>{"10.0.0.0/8", "fd00::/8", "10.1.1.1/32"});
  CHECK(cluster.failover == FailoverMode::kManual);
  CHECK_FALSE(cluster.auto_rejoin);
  CHECK(cluster.failover_pause == 2h);
  CHECK(cluster.monitor.user == "m");
  CHECK(cluster.monitor.database == "d");
  CHECK(cluster.monitor.password_file == "/p");
  CHECK(cluster.detection.interval == 100ms);
  CHECK(cluster.detection.when_path_cut == PathCutPolicy::kWait);
  const NodeConfig& node = cluster.nodes.at(0);
  CHECK(node.address == HostPort{"::1", 1});
  CHECK(node.priority == 0);
  REQUIRE(node.local.has_value());
  CHECK(node.local->data_directory == "/d");
  CHECK(node.local->bin_directory == "/b");
  CHECK(node.local->os_user == "postgres");
}

TEST_CASE("clusters keep the order of the file") {
  const Config config = config_of(R"(
    [cluster.zebra]
    listen = "0.0.0.0:1"
    [[cluster.zebra.node]]
    name = "a"
    host = "h1"
    [cluster.ant]
    listen = "0.0.0.0:2"
    [[cluster.ant.node]]
    name = "a"
    host = "h2"
  )");
  REQUIRE(config.clusters.size() == 2);
  CHECK(config.clusters[0].name == "zebra");
  CHECK(config.clusters[1].name == "ant");
}

TEST_CASE("all problems are told at once, in the order of the file, with file, line and column") {
  CHECK(problems_of("[proxy]\n"
                    "wrokers = 4\n"
                    "login_timeout = 3\n"
                    "  hold_timeout = \"3 s\"\n"
                    "login_rate = 0\n"
                    "no_route = \"hodl\"\n"
                    "durability = \"async\"\n"
                    "[cluster.orders]\n"
                    "listen = \"0.0.0.0\"\n"
                    "[[cluster.orders.node]]\n"
                    "name = \"A\"\n") ==
        "f:2:1: unknown key \"wrokers\" in proxy; did you mean workers?\n"
        "f:3:17: proxy.login_timeout: is a number, and must be a string such as \"250ms\", \"3s\" or \"10m\"\n"
        "f:4:18: proxy.hold_timeout: \"3 s\" is not a duration; write a whole number and ms, s, m, h or d: \"250ms\", "
        "\"3s\", \"10m\"\n"
        "f:5:14: proxy.login_rate: 0 is not between 1 and 1000000\n"
        "f:6:12: proxy.no_route: \"hodl\" is none of \"hold\", \"refuse\"; did you mean \"hold\"?\n"
        "f:7:1: unknown key \"durability\" in proxy; it belongs into [cluster.NAME]\n"
        "f:9:10: cluster.orders.listen: \"0.0.0.0\" has no port; write \"HOST:PORT\", or \"[IPV6]:PORT\"\n"
        "f:10:1: cluster.orders.node[0].host: is missing\n"
        "f:11:8: cluster.orders.node[0].name: \"A\" cannot be a node's name: it begins with a-z, goes on with a-z, 0-9 "
        "and _, and has at most 56 characters\n");
}

TEST_CASE("wrong types are named as they are and as they must be") {
  const struct {
    std::string_view line;
    std::string_view told;
  } cases[] = {
      {"proxy = 1", "proxy: is a number, and must be a table"},
      {"proxy.workers = \"4\"", "is a string, and must be a whole number"},
      {"proxy.workers = 4.0", "is a number with a fraction, and must be a whole number"},
      {"proxy.workers = 2020-01-01", "is a date or time, and must be a whole number"},
      {"proxy.workers = -1", "-1 is not between 0 and 1024"},
      {"proxy.workers = 9223372036854775807", "is not between"},
      {"proxy.hold_timeout = true", "is true or false, and must be a string such as"},
      {"log.level = [\"info\"]", "is an array, and must be a string"},
      {"log.level = \"INFO\"", "\"INFO\" is none of \"debug\", \"info\", \"warning\", \"error\""},
      {"cluster.o = 1", "cluster: \"o\" is a number, and must be a table: [cluster.NAME]"},
      {"[[cluster]]", "must be a table; write its header in single brackets"},
      {"[cluster.o.node]", "is a table, and must be an array of tables; write [[cluster.o.node]], in double brackets"},
      {"cluster.o.node = [1]", "cluster.o.node[0]: is a number, and must be a table"},
      {"cluster.o.node = []", "cluster.o.node: has no element"},
      {"cluster.o.allow = \"0.0.0.0/0\"", "is a string, and must be an array of strings"},
      {"cluster.o.allow = [1]", "a number in the array is no string"},
      {"cluster.o.auto_rejoin = \"yes\"", "is a string, and must be true or false, without quotes"},
      {"[cluster.\"o o\"]", "cluster: \"o o\" cannot be a cluster's name"},
      {"[cluster.\"..\"]", "cannot be a cluster's name"},
      {"state.directory = \"\"", "state.directory: must not be empty"},
      {"state.directory = \"a/b\"", "\"a/b\" is not an absolute path"},
      {"state.directory = \"/a\\u0000b\"", "\"/a\\x00b\" has a control character in it"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.line);
    const std::string problems = problems_of(each.line);
    CAPTURE(problems);
    CHECK(problems.find(each.told) != std::string::npos);
  }
}

TEST_CASE("a file without a cluster, and a cluster without a node, are told") {
  CHECK(problems_of("") == "f:1:1: cluster: there is none; write at least one [cluster.NAME]\n");
  CHECK(problems_of("[cluster]\n").find("cluster: there is none") != std::string::npos);
  CHECK(problems_of("[cluster.o]\nlisten = \"h:1\"\n") ==
        "f:1:1: cluster.o.node: there is none; each server of the cluster is one [[cluster.o.node]]\n");
}

TEST_CASE("what this version does not support is a clear error, and its default is not") {
  const struct {
    std::string_view line;
    std::string_view told;
  } cases[] = {
      {"durability = \"strict\"", ""},
      {"durability = \"available\"", ""},
      {"durability = \"async\"", ""},
      {"client_tls = { mode = \"require\", cert = \"/c\", key = \"/k\" }", ""},
      {"client_tls = { mode = \"on\" }", "client_tls.mode: \"on\" is none of"},
      {"client_tls = { mode = \"off\", cert = \"\" }", ""},
      {"server_tls = { mode = \"verify-full\", ca = \"/ca\" }", ""},
      {"server_tls = { mode = \"disable\", ca = \"\" }", ""},
      {"listen_read_only = \"0.0.0.0:5433\"", ""},
      {"listen_read_only = \"\"", ""},
      {"preferred = \"z\"", "there is no node \"z\""},
      {"preferred = \"\"", ""},
      {"drain_timeout = \"7s\"\nmax_read_lag = \"2s\"", ""},
      {"drain_timeout = \"7\"", "\"7\" is not a duration"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.line);
    const std::string problems = problems_of(with_cluster_keys(each.line));
    CAPTURE(problems);
    CHECK(problems.empty() == each.told.empty());
    CHECK(problems.find(each.told) != std::string::npos);
  }
  const std::string minimal(kMinimal);
  CHECK(problems_of(minimal + "agent = { url = \"https://h\", ca = \"/c\", cert = \"/d\", key = \"/e\" }\n")
            .find("has no port") != std::string::npos);
  CHECK(problems_of(minimal + "[admin]\ntls = { cert = \"c\", key = \"/k\" }\n").find("admin.tls.cert: ") !=
        std::string::npos);
  CHECK(problems_of(minimal + "[admin]\ntls = { cert = \"\", key = \"\" }\n").empty());
}

TEST_CASE("the text that a hostile file is made of never crashes the reader") {
  const std::string deep_key = [] {
    std::string text;
    for (int i = 0; i < 300'000; ++i) text += "a.";
    return text + "b = 1\n";
  }();
  CHECK(problems_of(deep_key) == "f:1:1: too many dots in one line\n");
  CHECK(problems_of("x = '''\n'''\n[" + deep_key) == "f:3:1: too many dots in one line\n");
  CHECK(problems_of("a = [" + std::string(500'000, '[')).find("this is no TOML") != std::string::npos);
  CHECK(problems_of(std::string("a = \0", 5)).find("f:1:5: this is no TOML") != std::string::npos);
  CHECK(problems_of("a = \"\xff\xfe\"").find("this is no TOML") != std::string::npos);
  CHECK(problems_of(std::string(2'000'000, '#')) == "f: is larger than 1048576 bytes\n");
  CHECK(problems_of("a = 1\na = 2\n").find("f:2:") != std::string::npos);
  CHECK(problems_of("\"\\u001b[2J\" = 1").find("unknown key \"\\x1b[2J\" at the top of the file") != std::string::npos);

  std::string many_keys;
  for (int i = 0; i < 50'000; ++i) many_keys += "k" + std::to_string(i) + "=1\n";
  const std::string told = problems_of(many_keys);
  CHECK(std::ranges::count(told, '\n') == 101);
  CHECK(told.find("and 49901 more\n") != std::string::npos);
}

TEST_CASE("every beginning of a valid file is either valid or has a problem with a position") {
  const std::string text(kMinimal);
  for (std::size_t length = 0; length < text.size(); ++length) {
    const ConfigResult result = parse_config(std::string_view(text).substr(0, length), "f");
    if (result) continue;
    for (const Problem& problem : result.error()) CHECK(problem.position.line > 0);
  }
}

TEST_CASE("every byte of a valid file may be any other") {
  const std::string text(kMinimal);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char byte : std::string("\0\n\".[{\x80\xFF", 8)) {
      std::string broken = text;
      broken[i] = byte;
      const ConfigResult result = parse_config(broken, "f");
      CHECK((result.has_value() || !result.error().empty()));
    }
  }
}

TEST_CASE("files that cannot be read are told by name") {
  CHECK(format_problems(load_config("/nowhere/pgkeel.toml").error()) ==
        "/nowhere/pgkeel.toml: cannot be read: No such file or directory\n");
  CHECK(format_problems(load_config("/").error()) == "/: cannot be read: Is a directory\n");
}
