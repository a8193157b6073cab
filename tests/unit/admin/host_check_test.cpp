#include "proxy/admin/host_check.h"

#include <doctest/doctest.h>

using namespace pgkeel;

TEST_CASE("in clear it is asked for by its address, by a name without a dot, or by one that is configured") {
  const std::vector<std::string> names = {"db1.example.com"};
  for (const char* right :
       {"", "127.0.0.1", "127.0.0.1:7432", "10.0.0.5:80", "[::1]:7432", "[fd00::5]", "localhost", "LOCALHOST:9999",
        "pgkeel:7432", "db1.example.com", "DB1.Example.com:7432", "db1.example.com.:7432"}) {
    CAPTURE(right);
    CHECK(is_right_host(right, names));
  }
  for (const char* wrong :
       {"evil.example", "evil.example:7432", "127.0.0.1.evil.example", "db1.example.com.evil.example",
        "db2.example.com", "xdb1.example.com", "[]", "[::1", ":7432", ".", "1.2.3:7432"}) {
    CAPTURE(wrong);
    CHECK_FALSE(is_right_host(wrong, names));
  }
}

TEST_CASE("what machines ask for is told by any name, and nothing else") {
  for (const char* path : {"/metrics", "/healthz", "/readyz", "/primary", "/replica/orders", "/leader/orders"}) {
    CAPTURE(path);
    CHECK(is_for_machines(path));
  }
  for (const char* path : {"/", "/console.js", "/api/v1/clusters", "/metricsx", "/primaryx", ""}) {
    CAPTURE(path);
    CHECK_FALSE(is_for_machines(path));
  }
}
