// Writes the first inputs of every target: exchanges as they are in real life, from which a fuzzer goes on.
//   fuzz_seeds FOLDER
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "proxy/wire/scram_messages.h"
#include "tests/support/tls_peer.h"
#include "tests/support/wire_messages.h"

using namespace pgkeel;
using namespace pgkeel::wire_test;
using namespace std::string_literals;

namespace {

class Corpus {
 public:
  explicit Corpus(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void add(const std::string& target, const std::string& name, std::string_view bytes) const {
    std::filesystem::create_directories(folder_ / target);
    std::ofstream(folder_ / target / name, std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path folder_;
};

std::string byte(unsigned value) {
  return {static_cast<char>(value)};
}
std::string short_text(std::string_view text) {
  return byte(static_cast<unsigned>(text.size())) + std::string(text);
}
std::string text(std::string_view bytes) {
  return int16_bytes(static_cast<std::uint16_t>(bytes.size())) + std::string(bytes);
}

void startup_packets(const Corpus& corpus) {
  corpus.add("startup", "startup", startup_message());
  corpus.add("startup", "startup_3_2", startup_message(2, "bob"));
  corpus.add("startup", "parameters",
             untyped(int16_bytes(3) + int16_bytes(0) + "user\0bob\0database\0app\0replication\0database\0\0"s));
  corpus.add("startup", "ssl_request", ssl_request());
  corpus.add("startup", "gss_request", gss_encryption_request());
  corpus.add("startup", "cancel", cancel_request(4711, "\1\2\3\4"));
  corpus.add("startup", "cancel_3_2", cancel_request(4711, std::string(32, 'k')));
  corpus.add("startup", "protocol_2", untyped(int16_bytes(2) + int16_bytes(0) + std::string(288, '\0')));
  corpus.add("startup", "http", "GET / HTTP/1.1\r\n\r\n");
}

void server_streams(const Corpus& corpus) {
  const std::string cuts = short_text("\1\7\40\200"sv);
  const std::string interrupted =
      full_report('N', "WARNING", "01000", "canceling wait", "", "SyncRepWaitForLSN") + ready_for_query('I');
  corpus.add("from_server", "login", cuts + login_answer());
  corpus.add("from_server", "query",
             cuts + data_row("1") + data_row("two") + command_complete("SELECT 2") + ready_for_query('I'));
  corpus.add("from_server", "crash",
             cuts + report('N', "WARNING", "57P02", "crash") + report('E', "FATAL", "57P02", "terminating connection"));
  corpus.add("from_server", "interrupted_wait", cuts + interrupted);
  corpus.add("from_server", "interrupted_wait_long",
             cuts + full_report('N', "WARNING", "01000", "wait", std::string(9000, 'c'), "SyncRepWaitForLSN") +
                 ready_for_query('T'));
  corpus.add("from_server", "sasl",
             cuts + authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv) +
                 authentication(11, "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") + authentication(12, "v=AAAA") +
                 login_answer());
  corpus.add("from_server", "copy_out",
             cuts + message('H', "\0\0\0"sv) + message('d', std::string(300, 'x')) + message('c', "") +
                 command_complete("COPY 1") + ready_for_query('I'));
}

void client_streams(const Corpus& corpus) {
  const auto answer = [](char type, char status) {
    return byte(192) + byte(static_cast<unsigned char>(type)) + byte(static_cast<unsigned char>(status));
  };
  const auto says = [](const std::string& bytes) {
    return bytes.size() < 128 ? short_text(bytes) : byte(128) + text(bytes);
  };
  const std::string ready = answer('Z', 'I');
  corpus.add("from_client", "simple",
             ready + says(query("begin")) + answer('C', 'B') + answer('Z', 'T') + says(query("commit")) +
                 answer('C', 'C') + ready);
  corpus.add("from_client", "extended",
             ready + says(parse("commit") + bind() + execute() + sync_message()) + answer('1', '\0') + ready);
  corpus.add("from_client", "prepared",
             ready + says(message('P', "s\0end\0\0\0"sv) + sync_message()) + ready +
                 says(message('B', "\0s\0\0\0\0\0\0\0"sv) + execute() + sync_message()) + ready);
  corpus.add("from_client", "copy_in",
             ready + says(parse("copy t from stdin") + bind() + execute() + sync_message()) + answer('G', '\0') +
                 says(message('d', "1\n") + message('c', "") + sync_message()) + answer('C', 'C') + ready);
  corpus.add("from_client", "copy_fails",
             ready + says(query("copy t from stdin")) + answer('G', '\0') +
                 says(message('d', "1\n") + message('f', "no\0"sv)) + answer('E', 'S') + answer('Z', 'E'));
  corpus.add("from_client", "long_message", ready + says(query(std::string(9000, 'q'))) + ready + says(terminate()));
  corpus.add("from_client", "prepare_transaction", ready + says(query(" prepare\ttransaction 'x'")) + ready);
  corpus.add("from_client", "cut", ready + says(query("select 1").substr(0, 7)) + says(query("select 1").substr(7)));
  corpus.add("from_client", "function_call",
             ready + says(message('F', "\0\0\0\1\0\0\0\0\0\0"sv)) + answer('V', 0) + ready);
  corpus.add("from_client", "sasl",
             says(build_sasl_initial_response("SCRAM-SHA-256", "n,,n=,r=abc")) +
                 says(build_sasl_response("c=biws,r=abcdef,p=AAAA")));
}

void scram(const Corpus& corpus) {
  const std::string reads = byte(0);
  corpus.add("scram", "client_first", reads + "n,,n=,r=fyko+d2lbbFgONRv9qkxdawL");
  corpus.add("scram", "client_first_bound", reads + "p=tls-server-end-point,,n=u,r=abc");
  corpus.add("scram", "server_first", reads + "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  corpus.add("scram", "client_final", reads + "c=biws,r=abcdef,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  corpus.add("scram", "server_final", reads + "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  corpus.add("scram", "verifier",
             reads +
                 "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$cs1uhCLEB/ttCYaQ8RMLfe1+wvf14dML2dUh8BU2N5M=:"
                 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");
  const std::string offer = byte(0) + short_text("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv);
  const std::string plain_offer = byte(0) + short_text("SCRAM-SHA-256\0\0"sv);
  const std::string verifier = byte(1) + byte(1);
  const auto first = [](std::string_view mechanism, std::string_view words) {
    return byte(3) + short_text(mechanism) + short_text(words);
  };
  const std::string challenge = byte(5) + short_text("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  const std::string accepted = byte(6) + short_text("v=AAAA");
  const std::string bound = first("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc");
  corpus.add("scram", "joined_both_bound",
             byte(1) + byte(1U | 2U << 2) + offer + verifier + bound + challenge + byte(10) + accepted);
  corpus.add("scram", "joined_and_again",
             byte(1) + byte(1U | 2U << 2) + offer + verifier + bound + challenge + byte(10) + byte(11) + offer +
                 challenge + accepted);
  corpus.add("scram", "joined_client_bound",
             byte(1) + byte(1) + plain_offer + verifier + bound + challenge + byte(10) + accepted);
  corpus.add("scram", "joined_client_in_clear",
             byte(1) + byte(1U << 2) + offer + first("SCRAM-SHA-256", "y,,n=,r=abc") + verifier + challenge + byte(10) +
                 accepted);
  corpus.add("scram", "joined_wrong_proof",
             byte(1) + byte(1U | 2U << 2) + offer + verifier + bound + challenge + byte(4) +
                 short_text("c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsb25l,r=abcdef,p=" + std::string(43, 'A') + "=") +
                 accepted);
  corpus.add("scram", "unknown_user", byte(1) + byte(1U | 2U << 2) + offer + byte(2) + bound + challenge + byte(10));
}

void tls(const Corpus& corpus) {
  const auto pieces = [](std::string_view bytes) {
    return bytes.size() < 255 ? short_text(bytes) : byte(255) + text(bytes);
  };
  const auto record = [](std::string_view bytes) { return byte(100) + text(bytes); };
  test::TlsPeer client{test::Peer()};
  const std::string hello = client.take_output();
  test::TlsPeer stranger{test::Peer(), test::TlsPeerOptions{.offers_postgresql = false}};
  test::TlsPeer old{test::Peer(), test::TlsPeerOptions{.newest_version = 0x0303}};
  for (unsigned mode = 0; mode < 4; ++mode) {
    const std::string kind = byte(mode << 2);
    const std::string suffix = "_" + std::to_string(mode);
    corpus.add("tls", "in_clear" + suffix, kind + pieces(startup_message()));
    corpus.add("tls", "asks" + suffix, kind + pieces(ssl_request()) + pieces(hello));
    corpus.add("tls", "asks_gss_too" + suffix,
               kind + pieces(gss_encryption_request()) + pieces(ssl_request()) + pieces(old.take_output()));
    corpus.add("tls", "direct" + suffix, kind + pieces(hello));
    corpus.add("tls", "direct_without_alpn" + suffix, kind + pieces(stranger.take_output()));
    corpus.add("tls", "pushed" + suffix, kind + pieces(ssl_request() + startup_message()));
    corpus.add("tls", "encrypted" + suffix,
               byte(mode << 2 | 1U) + record(startup_message()) + record(query("select 1")));
  }
  corpus.add("tls", "encrypted_old", byte(16U | 1U) + record(startup_message()) + record(terminate()));
  corpus.add("tls", "encrypted_key_update", byte(1) + byte(16) + text("x") + record(startup_message()));
  corpus.add("tls", "encrypted_ssl_request", byte(1) + record(ssl_request()));
  corpus.add("tls", "encrypted_damaged", byte(1) + byte(230) + text(startup_message()));
  corpus.add("tls", "encrypted_then_clear", byte(1) + byte(0) + text(startup_message()));
  corpus.add("tls", "server_refuses", byte(2) + pieces("N"));
  corpus.add("tls", "server_pushes", byte(2) + pieces("S" + login_answer()));
  corpus.add("tls", "server_complains", byte(2) + pieces(report('E', "FATAL", "57P03", "starting up")));
  corpus.add("tls", "server_alert", byte(2) + pieces("S") + pieces("\x15\x03\x03\x00\x02\x02\x28"sv));
  corpus.add("tls", "server_encrypts", byte(3) + record(login_answer()) + record(data_row("1")));
  corpus.add("tls", "server_encrypts_old", byte(16U | 3U) + record(login_answer()));
  corpus.add("tls", "server_cuts", byte(3) + byte(210) + text(login_answer()));
}

void sessions(const Corpus& corpus) {
  const std::string settings = byte(1);
  const std::string startup = byte(3) + byte(0) + short_text("alice");
  const std::string login = startup + byte(7) + byte(1);
  const auto client = [](char type, std::string_view body) {
    return byte(1) + short_text(body) + byte(static_cast<unsigned char>(type));
  };
  const auto server = [](char type, std::string_view body) {
    return byte(5) + short_text(body) + byte(static_cast<unsigned char>(type));
  };
  const auto server_raw = [](const std::string& bytes) { return byte(4) + text(bytes); };
  const auto long_one = [](unsigned who, char type, std::uint16_t size) {
    return byte(who) + int16_bytes(size) + byte(static_cast<unsigned char>(type));
  };
  const std::string asks = client('Q', "select 1\0"sv);
  const std::string answers = server('D', "\0\1\0\0\0\1x"sv) + server('C', "SELECT 1\0"sv) + server('Z', "I");
  corpus.add("session", "query", settings + login + asks + answers + client('X', ""));
  corpus.add("session", "route_goes_idle", settings + login + byte(9) + byte(8));
  corpus.add("session", "route_goes_busy", settings + login + asks + byte(9));
  corpus.add("session", "route_goes_in_long_row",
             settings + login + asks + server_raw("D" + int32_bytes(20000) + std::string(100, 'r')) + byte(9));
  corpus.add("session", "big_rows",
             settings + login + asks + long_one(6, 'D', 60000) + long_one(6, 'D', 9000) + answers);
  corpus.add("session", "slow_reader",
             settings + login + byte(11) + long_one(6, 'D', 65000) + long_one(6, 'D', 65000) + long_one(6, 'D', 65000) +
                 long_one(6, 'D', 65000) + byte(9) + byte(11));
  corpus.add("session", "slow_server", settings + login + long_one(2, 'd', 65000) + long_one(2, 'd', 65000) + byte(13));
  corpus.add("session", "server_crashes",
             settings + login + asks + server_raw(report('E', "FATAL", "57P02", "crash")) + byte(13));
  corpus.add("session", "server_goes", settings + login + client('Q', "begin\0"sv) + server('Z', "T") + byte(13));
  corpus.add("session", "drain",
             settings + login + client('Q', "begin\0"sv) + server('Z', "T") + byte(10) + client('Q', "commit\0"sv) +
                 server('Z', "I") + byte(9));
  corpus.add("session", "standby", settings + startup + byte(7) + byte(0));
  corpus.add("session", "password",
             settings + startup + server('R', "\0\0\0\3"sv) + client('p', "secret\0"sv) + byte(7) + byte(1) + asks);
  corpus.add("session", "cancel", settings + login + asks + byte(14) + byte(0) + answers);
  corpus.add("session", "half_closed", settings + login + asks + byte(12) + answers);
  corpus.add("session", "hold_is_over", byte(3) + byte(9) + startup);
  corpus.add("session", "interrupted_wait",
             settings + login + client('Q', "commit\0"sv) +
                 server_raw(full_report('N', "WARNING", "01000", "wait", "", "SyncRepWaitForLSN")) +
                 server('C', "COMMIT\0"sv) + server('Z', "I"));
  corpus.add("session", "interrupted_wait_long",
             settings + login + client('Q', "commit\0"sv) +
                 server_raw(full_report('N', "WARNING", "01000", "wait", std::string(9000, 'c'), "SyncRepWaitForLSN")) +
                 server('Z', "I"));
  corpus.add("session", "refused_login",
             settings + startup + server_raw(report('E', "FATAL", "28P01", "no")) + byte(13));
  corpus.add("session", "ssl_request", settings + byte(0) + text(ssl_request()) + login);
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  const Corpus corpus(arguments[1]);
  startup_packets(corpus);
  server_streams(corpus);
  client_streams(corpus);
  scram(corpus);
  tls(corpus);
  sessions(corpus);
  return 0;
}
