#include "proxy/io/listening.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

// As proc_pid_net(5) shows it on a little-endian machine; line 1 only is of a connection.
constexpr std::string_view kTable =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   104        0 1 1 0 100 0 0 10 0\n"
    "   1: 0100007F:1539 0100007F:9C40 01 00000000:00000000 00:00000000 00000000   104        0 2 1 0 100 0 0 10 0\n"
    "   2: 00000000:153A 00000000:0000 0A 00000000:00000000 00:00000000 00000000   104        0 3 1 0 100 0 0 10 0\n";
constexpr std::string_view kTable6 =
    "  sl  local_address                         remote_address                        st\n"
    "   0: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000000\n"
    "   1: 00000000000000000000000000000000:153B 00000000000000000000000000000000:0000 0A 00000000:00000000\n";

}  // namespace

TEST_CASE("a listener is found by its address, or by listening at all of them") {
  CHECK(listens_in_table(kTable, {"127.0.0.1", 5432}));
  CHECK(listens_in_table(kTable, {"localhost", 5432}));
  CHECK(listens_in_table(kTable, {"10.0.0.7", 5434}));
  CHECK(listens_in_table(kTable, {"db1.example", 5434}));
  CHECK(listens_in_table(kTable6, {"::1", 5432}));
  CHECK(listens_in_table(kTable6, {"10.0.0.7", 5435}));
}

TEST_CASE("another address, another port, a connection or nonsense is no listener") {
  CHECK_FALSE(listens_in_table(kTable, {"127.0.0.2", 5432}));
  CHECK_FALSE(listens_in_table(kTable, {"db1.example", 5432}));
  CHECK_FALSE(listens_in_table(kTable, {"127.0.0.1", 5433}));
  CHECK_FALSE(listens_in_table(kTable, {"127.0.0.1", 5555}));
  CHECK_FALSE(listens_in_table("", {"127.0.0.1", 5432}));
  CHECK_FALSE(listens_in_table("0: 0100007F 0 0A\n 1: XYZ:1538 0 0A\n2:\n", {"127.0.0.1", 5432}));
}

TEST_CASE("who listens on this host is seen while they do, and a socket that does not listen is not") {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  socklen_t length = sizeof address;
  REQUIRE(getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const std::uint16_t port = ntohs(address.sin_port);
  CHECK_FALSE(somebody_listens_at({"127.0.0.1", port}));
  REQUIRE(listen(descriptor, 1) == 0);
  CHECK(somebody_listens_at({"127.0.0.1", port}));
  CHECK(somebody_listens_at({"localhost", port}));
  CHECK_FALSE(somebody_listens_at({"127.0.0.2", port}));
  close(descriptor);
  CHECK_FALSE(somebody_listens_at({"127.0.0.1", port}));
}
