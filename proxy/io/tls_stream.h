// One TLS connection on the data path, over a Socket that never blocks and that the caller holds. Loop's thread only.
// Reads and writes come back as those of the socket would; EPROTO stands for what is wrong with TLS itself.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "proxy/base/bytes.h"
#include "proxy/io/socket.h"
#include "proxy/io/tls_context.h"

struct ssl_st;

namespace pgkeel {

class TlsStream {
 public:
  // Waits for a ClientHello, which begins with what was `already_read` of the socket.
  static std::unique_ptr<TlsStream> accepting(std::shared_ptr<const TlsContext> context, Bytes already_read);
  // Begins with one, to `host` (a name or an address).
  static std::unique_ptr<TlsStream> connecting(std::shared_ptr<const TlsContext> context, std::string host);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  enum class Progress { kDone, kNeedsRead, kNeedsWrite, kFailed };
  Progress handshake(Socket& socket);
  // Why it failed, for a person; and whether that was only the connection's end.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] bool connection_broke() const { return connection_broke_; }

  // After the handshake. A write that took less must be repeated with the rest before anything else is written.
  IoResult read(Socket& socket, std::span<std::byte> into);
  IoResult write(Socket& socket, Bytes bytes);
  // There is more to read in here, or to find out, that the socket will not tell of.
  [[nodiscard]] bool has_more() const { return has_more_; }
  // Data that was sent and not read yet.
  [[nodiscard]] bool has_unread_bytes(Socket& socket);
  void close_notify(Socket& socket);  // says goodbye, if the socket takes it

  [[nodiscard]] bool agreed_on_postgresql() const;  // by ALPN
  // Of the context that this stream was made with, and of the peer's certificate (empty: it showed none).
  [[nodiscard]] const std::string& own_end_point_hash() const { return context_->end_point_hash(); }
  [[nodiscard]] std::string peer_end_point_hash() const;

 private:
  friend struct TlsSocketBio;

  TlsStream(std::shared_ptr<const TlsContext> context, Bytes already_read);
  [[nodiscard]] Progress handshake_failed();
  [[nodiscard]] bool peer_has_the_name() const;
  [[nodiscard]] IoResult failed(int result) const;

  std::shared_ptr<const TlsContext> context_;
  ssl_st* session_;
  std::string host_;  // of the server, where we connect
  std::string already_read_;
  Socket* socket_ = nullptr;  // inside a call
  bool would_block_ = false;  // the socket, in this call
  bool at_end_ = false;       // of the socket
  int socket_error_ = 0;
  bool has_more_ = false;
  std::string problem_;
  bool connection_broke_ = false;
};

}  // namespace pgkeel
