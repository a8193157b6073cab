#include "proxy/wire/commit_watch.h"

#include <string>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

std::string message(char type, const std::string& body) {
  std::string text(1, type);
  append_uint32(text, static_cast<std::uint32_t>(body.size() + 4));
  return text + body;
}

struct Client {
  void send(char type, const std::string& body) {
    const std::string text = message(type, body);
    watch.client_sent(type, as_bytes(text));
  }
  void query(const std::string& sql) { send('Q', sql + '\0'); }
  void parse(const std::string& name, const std::string& sql) { send('P', name + '\0' + sql + '\0' + '\0' + '\0'); }
  void bind(const std::string& statement) { send('B', "portal" + std::string(1, '\0') + statement + '\0'); }
  void execute() { send('E', std::string("portal\0\0\0\0\0", 11)); }

  CommitWatch watch;
};

bool is_in_flight_after(const std::string& sql) {
  Client client;
  client.query(sql);
  return client.watch.in_flight();
}

}  // namespace

TEST_CASE("a COMMIT is on its way from when it is sent until everything is answered") {
  for (const char* sql : {"COMMIT", "commit;", " \n\tCommit work", "END", "end ;", "COMMIT AND CHAIN",
                          "COMMIT PREPARED 'x'", "PREPARE TRANSACTION 'x'"}) {
    CAPTURE(sql);
    CHECK(is_in_flight_after(sql));
  }
  for (const char* sql : {"", ";", "COMMITTED", "ENDING", "SELECT 'COMMIT'", "PREPARE x AS SELECT 1", "ROLLBACK",
                          "INSERT INTO t VALUES (1)"}) {
    CAPTURE(sql);
    CHECK_FALSE(is_in_flight_after(sql));
  }
  Client client;
  client.query("COMMIT");
  client.query("SELECT 1");
  CHECK(client.watch.in_flight());
  client.watch.answered();
  CHECK_FALSE(client.watch.in_flight());
}

TEST_CASE("so is a prepared one, under whatever name, once it is executed") {
  for (const std::string name : {"", "S_3"}) {
    CAPTURE(name);
    Client client;
    client.parse("S_1", "INSERT INTO t VALUES ($1)");
    client.parse(name, "COMMIT");
    client.bind("S_1");
    client.execute();
    CHECK_FALSE(client.watch.in_flight());
    client.bind(name);
    CHECK_FALSE(client.watch.in_flight());
    client.execute();
    CHECK(client.watch.in_flight());
    client.watch.answered();
    client.bind(name);
    client.execute();
    CHECK(client.watch.in_flight());
  }
  Client client;
  client.parse("", "COMMIT");
  client.parse("", "SELECT 1");
  client.bind("");
  client.execute();
  CHECK_FALSE(client.watch.in_flight());
}

TEST_CASE("messages that are cut short or make no sense are no COMMIT") {
  for (const char type : {'Q', 'P', 'B', 'E', 'S', 'x'}) {
    for (const std::string& body : {std::string(), std::string("COMM"), std::string("\0", 1), std::string("PREPARE")}) {
      Client client;
      client.send(type, body);
      client.send(type, body);
      CHECK_FALSE(client.watch.in_flight());
    }
  }
}
