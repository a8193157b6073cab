// A client of a benchmark that speaks PostgreSQL's protocol by hand: with TLS in every way that a proxy may want it
// (libpq 15 knows only one), and so small that thousands of it weigh nothing. Blocks; throws std::runtime_error. One
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

struct ssl_ctx_st;
struct ssl_st;

namespace pgkeel::test {

enum class TlsWay {
  kNone,
  kAsks,    // SSLRequest, as PostgreSQL's clients do
  kDirect,  // at once, as a load balancer that knows nothing of PostgreSQL wants it
};

class BenchConnection {
 public:
  // Logged in as `postgres`, who is trusted.
  explicit BenchConnection(std::uint16_t port, TlsWay tls = TlsWay::kNone);
  ~BenchConnection();
  BenchConnection(BenchConnection&& other) noexcept;
  BenchConnection& operator=(BenchConnection&&) = delete;
  BenchConnection(const BenchConnection&) = delete;
  BenchConnection& operator=(const BenchConnection&) = delete;

  // A simple query; returns how many bytes came until it was answered.
  std::uint64_t query(std::string_view sql);
  // Reads until ReadyForQuery; an error of the server is thrown. An end of the connection too.
  std::uint64_t read_to_ready();

  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  void begin_tls(TlsWay way);
  void write(std::string_view bytes);
  std::size_t read(char* into, std::size_t size);

  int descriptor_ = -1;
  ssl_st* tls_ = nullptr;
};

}  // namespace pgkeel::test
