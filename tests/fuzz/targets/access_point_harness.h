// An access point with sessions, on a loop of its own that the caller turns: clients and a server say what an input has
// them say, and nothing waits for time to pass. Clients come, and the server listens, on Unix sockets; a server that is
// asked for TLS listens on TCP. One thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "proxy/io/descriptor_budget.h"
#include "proxy/io/loop.h"
#include "proxy/io/resolver.h"
#include "proxy/session/access_point.h"
#include "tests/support/peer.h"

namespace pgkeel::fuzz {

// What is too dear to be made for each input. Made by the first one, and gone with the process.
struct Ground {
  static Ground& shared();

  std::string folder;     // of the Unix sockets
  std::string cert, key;  // of the access point, and of the server
  std::shared_ptr<const TlsContext> clients, verified_clients, servers;
  Socket clients_listen;
  Socket server_listens;
  Socket tls_server_listens;

 private:
  Ground();
};

class AccessPointHarness {
 public:
  struct Options {
    ClientTlsMode client_tls = ClientTlsMode::kOff;
    bool server_tls = false;
    bool keeps_commit_waits = false;
    Duration hold_timeout = std::chrono::hours(24);  // also where the process is stopped meanwhile
  };
  explicit AccessPointHarness(const Options& options);
  ~AccessPointHarness();
  AccessPointHarness(const AccessPointHarness&) = delete;
  AccessPointHarness& operator=(const AccessPointHarness&) = delete;

  test::Peer connect();
  // The server's end of a connection that waits there; nothing: none does.
  std::optional<test::Peer> accept();

  void lead_to_server();
  void lead_nowhere();
  void drain();

  // Lets everything happen that happens now.
  void turn();

  [[nodiscard]] AccessPoint& access_point() { return *access_point_; }

 private:
  void lead(RouteMode mode, bool somewhere);
  [[nodiscard]] const Socket& server_listens() const;

  Loop loop_;
  Resolver resolver_{loop_};
  ProxyConfig limits_;
  std::array<std::byte, 262144> read_buffer_{};
  std::atomic<std::uint32_t> clients_{0};
  const std::uint32_t clients_max_ = 100;
  Newcomers newcomers_;
  std::atomic<std::uint32_t> unproven_count_{0};
  UnprovenLogins unproven_{unproven_count_, clients_max_};
  CancelJudge judge_;
  VerifierSource verifiers_;
  DescriptorBudget descriptors_{1000};
  std::unique_ptr<SharedCluster> cluster_;
  std::unique_ptr<AccessPoint> access_point_;
  const bool server_tls_;
  std::uint64_t epoch_ = 0;
};

// All that is there for it now.
std::string take_all(test::Peer& peer);
// What it cannot take is left out; a peer that is gone is closed.
void say(test::Peer& peer, std::string_view bytes);

}  // namespace pgkeel::fuzz
