#include "config/validate.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "config/parse.h"
#include "tests/unit/config/config_text.h"

using namespace pgkeel;

namespace {

std::string problems_of(std::string_view text) {
  const ConfigResult result = parse_config(text, "f");
  return result ? "" : format_problems(result.error());
}

// A second cluster, to be appended to kMinimal.
std::string second_cluster(std::string_view listen, std::string_view host) {
  return "[cluster.stock]\nlisten = \"" + std::string(listen) + "\"\n[[cluster.stock.node]]\nname = \"a\"\nhost = \"" +
         std::string(host) + "\"\n";
}

std::string local(std::string_view data_directory) {
  return "local = { data_directory = \"" + std::string(data_directory) + "\", bin_directory = \"/b\" }\n";
}

}  // namespace

TEST_CASE("times of the detection fit each other") {
  const auto detection = [](std::string_view lines) {
    return problems_of(std::string(kMinimal) + "[cluster.orders.detection]\n" + std::string(lines));
  };
  CHECK(
      detection("failure_timeout = \"900ms\"\n") ==
      "f:12:19: cluster.orders.detection.failure_timeout: 900ms is shorter than probe_timeout (1s): no probe could end "
      "before it\n");
  CHECK(detection("interval = \"3s\"\n") ==
        "f:11:1: cluster.orders.detection.failure_timeout: 3s is not longer than interval (3s): a node would fail "
        "between "
        "two probes\n");
  CHECK(detection("refused_confirm = \"5s\"\n") ==
        "f:12:19: cluster.orders.detection.refused_confirm: 5s is not shorter than failure_timeout (3s)\n");
  CHECK(detection("failure_timeout = \"1s\"\n").empty());
}

TEST_CASE("names of nodes are unique in their cluster, and free in another") {
  CHECK(problems_of(std::string(kMinimal) + "[[cluster.orders.node]]\nname = \"a\"\nhost = \"h\"\n") ==
        "f:12:8: cluster.orders.node[2].name: another node of this cluster is called \"a\" too\n");
  CHECK(problems_of(std::string(kMinimal) + second_cluster("0.0.0.0:6433", "h")).empty());
}

TEST_CASE("a server is one node of one cluster") {
  CHECK(problems_of(std::string(kMinimal) + "[[cluster.orders.node]]\nname = \"c\"\nhost = \"10.0.0.1\"\n") ==
        "f:13:8: cluster.orders.node[2].host: \"10.0.0.1:5432\" is cluster.orders.node[0] too\n");
  CHECK(problems_of(std::string(kMinimal) + second_cluster("0.0.0.0:6433", "10.0.0.1")) ==
        "f:15:8: cluster.stock.node[0].host: \"10.0.0.1:5432\" is cluster.orders.node[0] too\n");
}

TEST_CASE("a data directory belongs to one node") {
  CHECK(problems_of(std::string(kMinimal) + local("/d/x") + second_cluster("0.0.0.0:6433", "h") + local("/d//x/")) ==
        "f:17:28: cluster.stock.node[0].local.data_directory: \"/d/x\" is the data directory of cluster.orders.node[1] "
        "too\n");
}

TEST_CASE("addresses to listen on do not collide") {
  const auto second = [](std::string_view listen) {
    return problems_of(std::string(kMinimal) + second_cluster(listen, "h"));
  };
  CHECK(second("0.0.0.0:6432") ==
        "f:12:10: cluster.stock.listen: \"0.0.0.0:6432\" is taken by cluster.orders.listen (\"0.0.0.0:6432\")\n");
  CHECK(second("10.0.0.9:6432").find("is taken by cluster.orders.listen") != std::string::npos);
  CHECK(second("0.0.0.0:7432").find("is taken by admin.listen (\"127.0.0.1:7432\")") != std::string::npos);
  CHECK(second("0.0.0.0:6433").empty());
  CHECK(problems_of(
            "[admin]\nlisten = \"127.0.0.1:0\"\n[cluster.o]\nlisten = \"127.0.0.1:0\"\n[[cluster.o.node]]\nname "
            "= \"a\"\nhost = \"h\"\n[cluster.p]\nlisten = \"127.0.0.1:0\"\n[[cluster.p.node]]\nname = \"a\"\nhost "
            "= \"i\"\n")
            .empty());
}

TEST_CASE("a node is no access point") {
  CHECK(problems_of(std::string(kMinimal) + second_cluster("127.0.0.1:5432", "127.0.0.1")) ==
        "f:15:8: cluster.stock.node[0].host: \"127.0.0.1:5432\" is no server: it leads back to cluster.stock.listen\n");
  CHECK(problems_of(std::string(kMinimal) + second_cluster("0.0.0.0:5432", "localhost")).find("leads back to") !=
        std::string::npos);
  CHECK(problems_of(std::string(kMinimal) + second_cluster("127.0.0.1:5432", "10.0.0.9")).empty());
}

TEST_CASE("the admin endpoint stays on loopback, unless it has TLS, or may do without") {
  const std::string everywhere = std::string(kMinimal) + "[admin]\nlisten = \"0.0.0.0:7432\"\n";
  CHECK(
      problems_of(everywhere) ==
      "f:12:10: admin.listen: \"0.0.0.0:7432\" is not a loopback address: that needs TLS (`cert` and `key` of [admin] "
      "tls), or allow_plain = true where nobody else can read the network\n");
  CHECK(problems_of(everywhere + "allow_plain = true\n").empty());
  CHECK(problems_of(everywhere + "tls = { cert = \"/c\", key = \"/k\" }\n").empty());
  CHECK(problems_of(everywhere + "tls = { cert = \"/c\", key = \"/k\", ca = \"/a\" }\n").empty());
  CHECK(problems_of(std::string(kMinimal) + "[admin]\nlisten = \"[::1]:7432\"\n").empty());
  CHECK(problems_of(std::string(kMinimal) + "[admin]\ntls = { cert = \"/c\" }\n").find("admin.tls.key: is missing") !=
        std::string::npos);
  CHECK(problems_of(std::string(kMinimal) + "[admin]\ntls = { key = \"/k\" }\n").find("admin.tls.cert: is missing") !=
        std::string::npos);
  CHECK(problems_of(std::string(kMinimal) + "[admin]\ntls = { ca = \"/a\" }\n").find("admin.tls.ca: nobody is asked") !=
        std::string::npos);
}

TEST_CASE("some client must be allowed") {
  CHECK(problems_of(with_cluster_keys("allow = []")).find("allow: is empty: no client could connect") !=
        std::string::npos);
}

TEST_CASE("a value that could not be read breaks no rule on top") {
  CHECK(problems_of(R"([cluster.o]
listen = "nonsense"
[[cluster.o.node]]
name = "!"
host = "!"
[[cluster.o.node]]
name = "!"
host = "!"
)")
            .find("too") == std::string::npos);
}

TEST_CASE("a node is handled from here or by its agent, which no other node has, and over https alone") {
  const auto agent = [](std::string_view url) {
    return "agent = { url = \"" + std::string(url) + "\", ca = \"/c\", cert = \"/d\", key = \"/e\" }\n";
  };
  const std::string minimal(kMinimal);
  CHECK(problems_of(minimal + agent("https://10.0.0.2:7433")).empty());
  CHECK(problems_of(minimal + agent("https://[fd00::2]:7433/")).empty());
  CHECK(problems_of(minimal + agent("https://u:hush@10.0.0.2:7433")).find("hush") == std::string::npos);
  CHECK(problems_of(minimal + agent("http://10.0.0.2:7433")).find("is no URL of an agent") != std::string::npos);
  CHECK(problems_of(minimal + agent("https://10.0.0.2:7433/x")).find("the port is not a number") != std::string::npos);
  CHECK(problems_of(minimal + agent("https://10.0.0.2:0")).find("from 1 to 65535") != std::string::npos);
  CHECK(problems_of(minimal + "agent = { url = \"https://10.0.0.2:7433\" }\n").find("agent.ca: is missing") !=
        std::string::npos);
  CHECK(problems_of(minimal + local("/d") + agent("https://10.0.0.2:7433"))
            .find("node[1].agent: is beside `local`: a server is handled from here, or by its agent") !=
        std::string::npos);
  CHECK(problems_of(minimal + agent("https://10.0.0.2:7433") + "[[cluster.orders.node]]\nname = \"c\"\nhost = \"i\"\n" +
                    agent("https://10.0.0.2:7433/"))
            .find("is the agent of cluster.orders.node[1] too") != std::string::npos);
}

TEST_CASE("agent.toml needs its certificates and its server; everything else has a default") {
  const std::string minimal =
      "[agent]\ntls = { ca = \"/c\", cert = \"/d\", key = \"/e\" }\ndata_directory = \"/p\"\nbin_directory = \"/b\"\n";
  const auto file = parse_agent_file(minimal, "f");
  REQUIRE(file);
  CHECK(file->agent.listen == HostPort{"0.0.0.0", 7433});
  CHECK(file->agent.tls.key == "/e");
  CHECK(file->agent.server.data_directory == "/p");
  CHECK(file->agent.fence_timeout == Duration::zero());
  CHECK(file->quarantine.max_age == std::chrono::hours(720));
  CHECK(parse_agent_file(minimal + "[quarantine]\nmax_age = \"2d\"\n", "f")->quarantine.max_age ==
        std::chrono::hours(48));
  const auto told = [](const std::string& text) {
    const auto result = parse_agent_file(text, "f");
    return result ? "" : format_problems(result.error());
  };
  CHECK(told("") == "f:1:1: agent: is missing\n");
  CHECK(told("[agent]\n").find("agent.tls: is missing") != std::string::npos);
  CHECK(told(minimal + "keep_files = [\"../x\"]\n").find("is not the name of a file") != std::string::npos);
  CHECK(told(minimal + "fence_timeout = \"10\"\n").find("is not a duration") != std::string::npos);
  CHECK(told(minimal + "[cluster.a]\n").find("unknown key \"cluster\"") != std::string::npos);
}

TEST_CASE("TLS has what its mode needs, and nothing that it would not look at") {
  const auto told = [](std::string_view line) { return problems_of(with_cluster_keys(line)); };
  CHECK(told("client_tls = { mode = \"allow\", cert = \"/c\", key = \"/k\" }").empty());
  CHECK(told("client_tls = { mode = \"verify-client\", cert = \"/c\", key = \"/k\", client_ca = \"/a\" }").empty());
  const std::string missing = told("client_tls = { mode = \"verify-client\" }");
  for (const char* key : {"cert", "key", "client_ca"})
    CHECK(missing.find(std::string(key) + ": is missing: mode \"verify-client\" needs it") != std::string::npos);
  CHECK(told("client_tls = { mode = \"require\", cert = \"/c\", key = \"/k\", client_ca = \"/a\" }")
            .find("client_tls.client_ca: no certificate of a client is looked at") != std::string::npos);
  CHECK(told("server_tls = { mode = \"require\" }").empty());
  CHECK(told("server_tls = { mode = \"require\", ca = \"/a\" }").empty());
  for (const char* mode : {"verify-ca", "verify-full"})
    CHECK(told("server_tls = { mode = \"" + std::string(mode) + "\" }").find("server_tls.ca: is missing") !=
          std::string::npos);
  CHECK(told("server_tls = { mode = \"disable\", ca = \"/a\" }").find("server_tls.ca: no certificate") !=
        std::string::npos);
}
