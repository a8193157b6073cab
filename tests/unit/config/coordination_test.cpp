// [coordination]: its keys, and the rules between them and the clusters.
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "config/parse.h"
#include "config/values.h"
#include "tests/unit/config/config_text.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kPeer = "peer = { address = \"10.0.0.1:7434\", ca = \"/c\", cert = \"/d\", key = \"/e\" }\n";

std::string with(std::string_view lines, std::string_view etcd = "etcd = [\"http://10.0.0.11:2379\"]\n") {
  return std::string(kMinimal) + "[coordination]\n" + std::string(etcd) + std::string(kPeer) + std::string(lines);
}

std::string problems_of(std::string_view text) {
  const ConfigResult result = parse_config(text, "f");
  return result ? "" : format_problems(result.error());
}

// Each line of coordination, and what is said of it; empty: it is right.
struct Case {
  std::string line;
  std::string told;
};

}  // namespace

TEST_CASE("a file without [coordination] is one pgkeel's") {
  CHECK_FALSE(parse_config(kMinimal, "f").value().coordination.is_given());
}

TEST_CASE("every key of [coordination] is read, and has a default where it can have one") {
  const Config least = parse_config(with(""), "f").value();
  CHECK(least.coordination.is_given());
  CHECK(least.coordination.prefix == "/pgkeel/");
  CHECK(least.coordination.lease == 4s);
  CHECK(least.coordination.name.empty());
  CHECK(least.coordination.peer.listen == HostPort{"0.0.0.0", 7434});
  CHECK(least.coordination.peer.address == HostPort{"10.0.0.1", 7434});
  CHECK(least.coordination.peer.tls == TlsFiles{"/c", "/d", "/e"});
  CHECK(least.coordination.vip == VipConfig{});

  const Config full = parse_config(with(R"(prefix = "/shop/"
lease = "10s"
name = "left"
user = "pgkeel"
password_file = "/p"
tls = { ca = "/f", cert = "/g", key = "/h" }
vip = { address = "10.0.0.100/24", interface = "eth0" }
)",
                                        "etcd = [\"https://a:2379\", \"https://b:2379\"]\n"),
                                   "f")
                          .value();
  const CoordinationConfig& coordination = full.coordination;
  CHECK(coordination.etcd == std::vector<std::string>{"https://a:2379", "https://b:2379"});
  CHECK(coordination.prefix == "/shop/");
  CHECK(coordination.lease == 10s);
  CHECK(coordination.name == "left");
  CHECK(coordination.user == "pgkeel");
  CHECK(coordination.password_file == "/p");
  CHECK(coordination.tls == TlsFiles{"/f", "/g", "/h"});
  CHECK(coordination.vip == VipConfig{"10.0.0.100/24", "eth0"});
}

TEST_CASE("what must be there, and what must not be empty") {
  CHECK(problems_of(std::string(kMinimal) + "[coordination]\n") ==
        "f:11:1: coordination.etcd: is missing\nf:11:1: coordination.peer: is missing\n");
  CHECK(problems_of(with("", "etcd = []\n")) == "f:12:8: coordination.etcd: must not be empty\n");
  CHECK(problems_of(with("vip = { address = \"10.0.0.100/24\" }\n")) ==
        "f:14:7: coordination.vip.interface: is missing\n");
}

TEST_CASE("values and combinations that cannot be") {
  const Case cases[] = {
      {"prefix = \"pgkeel\"", R"("pgkeel" cannot begin keys of etcd)"},
      {"prefix = \"/\"", ""},
      {"lease = \"2500ms\"", R"("2500ms" is no whole number of seconds)"},
      {"lease = \"1s\"", R"("1s" is not between 2s and 1m)"},
      {"lease = \"2s\"", ""},
      {"lease = \"3s\"\nvip = { address = \"10.0.0.100/24\", interface = \"eth0\" }", "3s is too short for `vip`"},
      {"name = \"a/b\"", R"("a/b" cannot be a pgkeel's name)"},
      {"name = \"db-1.example\"", ""},
      {"user = \"u\"", "coordination.password_file: is missing: there is a user"},
      {"password_file = \"/p\"", "coordination.user: is missing: there is a password_file"},
      {"tls = { ca = \"/c\" }", "coordination.tls: no URL in `etcd` begins with https://"},
      {"vip = { address = \"10.0.0.100\", interface = \"eth0\" }", R"("10.0.0.100" is no address of an interface)"},
      {"vip = { address = \"10.0.0.1/24\", interface = \"eth0\" }",
       "cluster.orders.node[0].host: is the address that the leader holds (`vip`)"},
      {"vip = { address = \"fd00::100/64\", interface = \"eth0\" }", ""},
      {"vip = { address = \"10.0.0.100/24\", interface = \"a/b\" }", "cannot be the name of a network interface"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.line);
    const std::string problems = problems_of(with(each.line + "\n"));
    CAPTURE(problems);
    CHECK(problems.empty() == each.told.empty());
    CHECK(problems.find(each.told) != std::string::npos);
  }
}

TEST_CASE("towards etcd: which URLs, and a key has a certificate") {
  const std::string told = problems_of(with("", "etcd = [\"http://root:hush@h:1\", \"ftp://u:hush@h:1\"]\n"));
  CHECK(told.find("a user or a password has no place in the URL of a member of etcd") != std::string::npos);
  CHECK_MESSAGE(told.find("hush") == std::string::npos, told);
  CHECK(problems_of(with("", "etcd = [\"ftp://h:1\"]\n")).find(R"("ftp://h:1" is no URL of a member of etcd)") !=
        std::string::npos);
  CHECK(problems_of(with("", "etcd = [\"http://h\"]\n")).find("has no port") != std::string::npos);
  CHECK(problems_of(with("", "etcd = [\"http://h:1\", \"http://h:1\"]\n")) ==
        "f:12:8: coordination.etcd: \"http://h:1\" is there twice\n");
  const std::string_view https = "etcd = [\"https://h:1\"]\n";
  CHECK(problems_of(with("", https)).empty());
  CHECK(problems_of(with("tls = { cert = \"/c\" }\n", https)).find("tls.key: is missing") != std::string::npos);
  CHECK(problems_of(with("tls = { key = \"/c\" }\n", https)).find("tls.cert: is missing") != std::string::npos);
}

TEST_CASE("the other pgkeels reach this one at an address of its own") {
  const auto peer = [](std::string_view listen, std::string_view address) {
    return problems_of(std::string(kMinimal) + "[coordination]\netcd = [\"http://h:1\"]\npeer = { listen = \"" +
                       std::string(listen) + "\", address = \"" + std::string(address) +
                       "\", ca = \"/c\", cert = \"/d\", key = \"/e\" }\n");
  };
  CHECK(peer("0.0.0.0:7434", "10.0.0.1:7434").empty());
  CHECK(peer("0.0.0.0:7434", "0.0.0.0:7434").find("is not where one could be reached") != std::string::npos);
  CHECK(peer("0.0.0.0:7434", "h:0").find("need to know the port") != std::string::npos);
  CHECK(peer("127.0.0.1:7432", "h:1").find("peer.listen: \"127.0.0.1:7432\" is taken by admin.listen") !=
        std::string::npos);
  CHECK(peer("0.0.0.0:6432", "h:1")
            .find("cluster.orders.listen: \"0.0.0.0:6432\" is taken by coordination.peer.listen") != std::string::npos);
}

TEST_CASE("clients that come to the leader's address find a cluster there") {
  const auto listens = [](std::string_view host) {
    std::string text = with("vip = { address = \"10.0.0.100/24\", interface = \"eth0\" }\n");
    const std::string_view any = "0.0.0.0:6432";
    text.replace(text.find(any), any.size(), std::string(host) + ":6432");
    return problems_of(text);
  };
  CHECK(listens("10.0.0.100").empty());
  CHECK(listens("[::]").empty());
  CHECK(listens("db.example").empty());
  CHECK(listens("10.0.0.101") == "f:14:19: coordination.vip.address: no cluster listens there\n");
}

TEST_CASE("an interface's address is one host's, with the length of its network's prefix") {
  const InterfaceAddress address = parse_interface_address("10.0.0.100/24").value();
  CHECK(address.is_ipv4);
  CHECK(address.prefix_length == 24);
  CHECK(format_ip_address(address.address) == "10.0.0.100");
  CHECK_FALSE(parse_interface_address("fd00::100/64").value().is_ipv4);
  for (const char* text : {"10.0.0.100/32", "10.0.0.0/31", "10.0.0.1/31", "fd00::/128", "fd00::ffff/112"}) {
    CAPTURE(text);
    CHECK_FALSE(complain_of_interface_address(text).has_value());
  }
  for (const char* text : {"",
                           "/",
                           "10.0.0.100",
                           "10.0.0.100/",
                           "10.0.0.100/0",
                           "10.0.0.100/33",
                           "10.0.0.100/x",
                           "10.0.0.100/24x",
                           "h/24",
                           "10.0.0.0/24",
                           "10.0.0.255/24",
                           "127.0.0.1/8",
                           "0.0.0.0/8",
                           "224.0.0.1/4",
                           "255.255.255.255/32",
                           "::1/128",
                           "::/64",
                           "ff02::1/64",
                           "fe80::1/64",
                           "fd00::/64",
                           "fd00::1/129"}) {
    CAPTURE(text);
    CHECK(complain_of_interface_address(text).has_value());
  }
}

TEST_CASE("an interface's name is one that Linux takes") {
  for (const char* text : {"eth0", "enp3s0f1", "bond0.100", "br-lan", "123456789012345"})
    CHECK_FALSE(complain_of_interface_name(text).has_value());
  for (const char* text : {"", ".", "..", "a b", "a/b", "a:b", "1234567890123456", "\xc3\xbc"})
    CHECK(complain_of_interface_name(text).has_value());
}
