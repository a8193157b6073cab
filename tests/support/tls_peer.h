// One end of a TLS connection, as a script plays it over a Peer: a client, or a server. It has the bytes of both
// directions in its hands, so that a test may cut, change or hold back what a library would just send. Blocks, and what
// does not come in half a minute is an exception. One thread.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "tests/support/peer.h"

struct ssl_ctx_st;
struct ssl_st;

namespace pgkeel::test {

struct TlsPeerOptions {
  bool is_server = false;
  std::string certificate_file = {};
  std::string key_file = {};
  std::string authority_file = {};  // empty: the other side's certificate is not looked at
  bool offers_postgresql = true;    // ALPN
  std::string offered_protocol = "postgresql";
  int newest_version = 0;  // 0x0302 and such; 0: whatever there is
};

struct TlsPeerError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class TlsPeer {
 public:
  explicit TlsPeer(Peer peer, const TlsPeerOptions& options = {});
  ~TlsPeer();
  TlsPeer(TlsPeer&& other) noexcept;
  TlsPeer& operator=(TlsPeer&&) = delete;
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  // `piece`: what is sent at once; 0: all there is. Throws TlsPeerError where the other side does not agree.
  void shake_hands(std::size_t piece = 0);

  void send(std::string_view text);
  std::string receive(std::size_t size);  // fewer where the connection ends before
  std::string receive_message();
  std::string receive_to_end();
  void say_goodbye();  // close_notify
  // How the connection ended, after receive_to_end().
  [[nodiscard]] bool ended_by_close_notify() const { return ended_by_close_notify_; }

  // ---- the bytes themselves ----
  // What it wants to send now; the first of a client is its ClientHello. It is not sent.
  std::string take_output();
  std::string encrypt(std::string_view text);
  // Takes bytes from the connection; false at its end.
  bool take_input();
  [[nodiscard]] bool handshake_is_over() const;
  void ask_for_renegotiation();
  void ask_for_key_update();
  [[nodiscard]] std::string version() const;
  [[nodiscard]] std::string certificate_of_other_side() const;  // DER; empty: none

  Peer& peer() { return peer_; }

 private:
  bool advance();

  Peer peer_;
  ssl_ctx_st* context_;
  ssl_st* session_;
  bool ended_by_close_notify_ = false;
};

}  // namespace pgkeel::test
