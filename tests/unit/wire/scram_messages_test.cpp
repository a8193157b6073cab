// Messages of SASL and SCRAM: what they say, and what is none.
#include "proxy/wire/scram_messages.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;

TEST_CASE("what a server offers") {
  const std::string both = authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv);
  const auto mechanisms = parse_sasl_mechanisms(as_bytes(both));
  REQUIRE(mechanisms);
  REQUIRE(mechanisms->size() == 2);
  CHECK(mechanisms->front() == kScramSha256Plus);
  CHECK(mechanisms->back() == kScramSha256);
  CHECK(build_sasl_mechanisms({kScramSha256Plus, kScramSha256}) == both);
  for (const auto bad : {""sv, "SCRAM-SHA-256"sv, "SCRAM-SHA-256\0"sv, "SCRAM-SHA-256\0\0x"sv})
    CHECK_FALSE(parse_sasl_mechanisms(as_bytes(authentication(10, bad))));
  CHECK_FALSE(parse_sasl_mechanisms(as_bytes(message('R', "\0\0\0"sv))));
}

TEST_CASE("what a client takes of it") {
  const std::string taken = build_sasl_initial_response("SCRAM-SHA-256", "n,,n=,r=abc");
  CHECK(taken == message('p', "SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc"sv));
  const auto response = parse_sasl_initial_response(as_bytes(taken));
  REQUIRE(response);
  CHECK(response->mechanism == "SCRAM-SHA-256");
  CHECK(response->data == "n,,n=,r=abc");
  const auto silent = parse_sasl_initial_response(as_bytes(message('p', "SCRAM-SHA-256\0\xff\xff\xff\xff"sv)));
  REQUIRE(silent);
  CHECK_FALSE(silent->data);
  for (const auto bad : {""sv, "SCRAM-SHA-256"sv, "SCRAM-SHA-256\0"sv, "SCRAM-SHA-256\0\0\0\0\x02n"sv,
                         "SCRAM-SHA-256\0\0\0\0\x01nn"sv, "SCRAM-SHA-256\0\xff\xff\xff\xffn"sv})
    CHECK_FALSE(parse_sasl_initial_response(as_bytes(message('p', bad))));
}

TEST_CASE("the first words of a client") {
  const auto plain = parse_scram_client_first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  REQUIRE(plain);
  CHECK(plain->binding == 'n');
  CHECK(plain->gs2_header == "n,,");
  CHECK(plain->bare == "n=user,r=rOprNGfwEbeRWgbNEkqO");
  CHECK(plain->nonce == "rOprNGfwEbeRWgbNEkqO");
  const auto bound = parse_scram_client_first("p=tls-server-end-point,,n=,r=x,ext=1");
  REQUIRE(bound);
  CHECK(bound->binding == 'p');
  CHECK(bound->binding_type == kTlsServerEndPoint);
  CHECK(bound->gs2_header == "p=tls-server-end-point,,");
  CHECK(bound->bare == "n=,r=x,ext=1");
  CHECK(bound->nonce == "x");
  CHECK(parse_scram_client_first("y,,n=,r=x")->binding == 'y');
  for (const char* bad : {"", "n", "n,", "n,,", "n,,n=", "n,,n=,", "n,,n=,r=", "n,,r=x", "n,a=me,n=,r=x", "p=,,n=,r=x",
                          "p,,n=,r=x", "x,,n=,r=x", "n,,m=1,n=,r=x", "n,,n=,r=\x01", "n,,n=,r=a b", "p=t,n=,r=x"})
    CHECK_MESSAGE(!parse_scram_client_first(bad), bad);
}

TEST_CASE("the challenge of a server, and what a client answers") {
  CHECK(parse_scram_server_first("r=abc,s=c2FsdA==,i=4096")->nonce == "abc");
  for (const char* bad :
       {"", "r=abc", "r=abc,s=", "r=abc,s=AA==", "r=abc,i=1,s=AA==", "m=x,r=abc,s=AA==,i=1", "r=,s=AA==,i=1"})
    CHECK_FALSE(parse_scram_server_first(bad));

  const auto final = parse_scram_client_final("c=biws,r=abc,p=cHJvb2Y=");
  REQUIRE(final);
  CHECK(final->binding == "biws");
  CHECK(final->nonce == "abc");
  CHECK(final->proof == "cHJvb2Y=");
  CHECK(final->without_proof == "c=biws,r=abc");
  CHECK(parse_scram_client_final("c=biws,r=abc,x=1,p=AAAA")->without_proof == "c=biws,r=abc,x=1");
  for (const char* bad : {"", "c=biws", "c=biws,r=abc", "c=biws,r=abc,p=", "c=biws,p=AAAA", "r=abc,c=biws,p=AAAA",
                          "c=biws,r=abc,p=AAAA,x=1", "c=biws,r=abc,p=AAAA,", "c=,r=abc,p=AAAA", "c=biws,r=,p=AAAA"})
    CHECK_MESSAGE(!parse_scram_client_final(bad), bad);
  CHECK(parse_scram_server_final("v=AAAA") == "AAAA");
  CHECK_FALSE(parse_scram_server_final("e=other-error"));
}
