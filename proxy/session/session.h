// One client connection, from its first byte to its last: the client's link, the link to the server, and what passes
// between them. Loop's thread only.
//
//   kStartup -> kWaiting -> kConnecting -> kSecuring -> kLogin -> kEstablished -> kClosing -> gone
//                  ^____________|______________|___________|  each state may go to kClosing (with an error) or to gone
//
// A login goes back to kWaiting as long as no challenge of the server has been passed on to the client, or the client
// has proven to us who it is. What is relayed, and how: relay.cpp. TLS on both sides: encryption.cpp. The login:
// login.cpp; how the client proves who it is: challenge.cpp, scram.cpp. The role of the server: role.cpp. To another
// process and from one: moving.cpp. How it all ends: ending.cpp.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "proxy/cancel/cancel_registry.h"
#include "proxy/io/accepted_client.h"
#include "proxy/io/link.h"
#include "proxy/io/resolver.h"
#include "proxy/io/timer.h"
#include "proxy/routing/login_gate.h"
#include "proxy/routing/reader_choice.h"
#include "proxy/routing/route.h"
#include "proxy/session/link_evidence.h"
#include "proxy/session/moved_session.h"
#include "proxy/session/newcomers.h"
#include "proxy/session/relay_buffer.h"
#include "proxy/session/session_stats.h"
#include "proxy/session/unproven_logins.h"
#include "proxy/upstream/scram_bridge.h"
#include "proxy/upstream/tls_opening.h"
#include "proxy/wire/commit_watch.h"
#include "proxy/wire/error_response.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/interrupted_wait.h"
#include "proxy/wire/role_question.h"
#include "proxy/wire/transaction_tracker.h"

namespace pgkeel {

class AccessPoint;

class Session {
 public:
  using Place = std::list<std::unique_ptr<Session>>::iterator;

  Session(AccessPoint& access_point, AcceptedClient client);
  // One that began in another process: set_place(), then go_on_here().
  Session(AccessPoint& access_point, AcceptedClient client, MovedSession moved);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // ---- for AccessPoint ----
  void set_place(Place place) { place_ = place; }
  [[nodiscard]] Place place() const { return place_; }
  // The route has changed: the link to a server that is not the route's is reset, and the client is told or waits on.
  // Where the route drains, the client is held as soon as no transaction is open.
  void follow_route();
  void shut_down(const std::string& cause);
  // Its client connected to this address of the host.
  [[nodiscard]] bool came_by(const IpAddress& address) const { return client_.local().ip() == address; }
  void vanish();  // both links are closed without a word
  void review_acknowledge_limits();
  void become_newcomer();
  void go_on_here();
  // Another process takes over: the session goes there as soon as it can (AccessPoint::give_away()). Where it never
  // can, it ends behind its next transaction. Where this process ends, it does so as soon as no transaction is open.
  void leave();
  [[nodiscard]] bool may_move() const;
  MovedSession move_out();  // nothing is left of it here
  void count_state(SessionsByState& counts) const;
  [[nodiscard]] const std::optional<CancelKey>& cancel_key() const { return cancel_key_; }

  // ---- for Newcomers ----
  // It has been silent for too long: it gets its place now, if it has said who it is, or goes.
  void give_way();

  // ---- for UnprovenLogins ----
  void give_up_login();  // others wait for its place

  // ---- for WaitingRoom ----
  [[nodiscard]] LoginGate::Ticket ticket() const { return ticket_; }  // 0: it has never waited
  void set_ticket(LoginGate::Ticket ticket) { ticket_ = ticket; }
  void wait_counts_as_hold(bool counts);
  void connect_to_server();

 private:
  enum class State {
    kStartup,      // the client has not said yet what it wants
    kWaiting,      // in the waiting room
    kConnecting,   // its turn; looking up the name, connecting
    kSecuring,     // the server was asked for TLS
    kLogin,        // the startup packet was sent to the server
    kEstablished,  // the client has its first ReadyForQuery
    kClosing,      // all is said; what is queued to the client goes out, what it sends is dropped
    kGone,
  };
  // What the time that passes counts against.
  enum class Clock { kNone, kHold, kLogin, kClosing };

  // What is known of a login that is under way.
  struct Login {
    std::string kept_back;      // bytes of the server that the client has not got
    std::size_t looked_at = 0;  // of these, whole messages
    bool silence_reported = false;
    std::uint64_t finished_before = 0;  // logins of this worker
    bool challenge_forwarded = false;
    bool authenticated = false;  // AuthenticationOk is among what is kept back
    std::optional<bool> in_recovery;
    std::optional<RoleQuestion> role_question;  // was asked
    std::optional<CancelKey> cancel_key;
    std::string last_failure;  // of the attempts so far, for the error that ends them
  };

  // session.cpp
  void client_ready(FdInterest ready);
  void handle_client(FdInterest ready);
  void client_ready_while_not_read(FdInterest ready);
  void server_ready(FdInterest ready);
  void handle_server(FdInterest ready);
  void run_clock(Clock clock);
  void run_closing_clock(Duration limit);
  void all_is_sent();
  void deadline_reached();
  [[nodiscard]] Duration& time_left(Clock clock);
  [[nodiscard]] std::string node_phrase() const;
  void leave_old_route();
  [[nodiscard]] bool nothing_to_wait_for() const;
  void count_as_reader();
  [[nodiscard]] std::string_view hint() const;
  void tell_of_stop();
  void begin_drain();
  void hold_where_drained();
  void end_drain();
  void count_end();
  void end_with_error(SqlState sqlstate, std::string message);
  void begin_closing();
  void release_server();  // its link, its cancel key, its place
  bool read_exactly(std::string& words, std::size_t wanted);
  void drain_client();

  // encryption.cpp
  void encryption_requested(bool for_tls);
  void begin_direct_tls();
  void begin_tls(Bytes already_read);
  void go_on_with_handshake();
  [[nodiscard]] bool must_encrypt() const;
  void secure_server();
  void go_on_securing();

  // login.cpp
  void read_startup();
  void handle_startup_packet();
  [[nodiscard]] bool is_allowed() const;
  void refuse_not_allowed();
  void take_a_place();
  void leave_newcomers();
  void set_silent(bool silent);
  void connect_to_next_address();
  void note_connect_error(int code);
  void connection_made();
  void begin_login();
  [[nodiscard]] bool awaits_first_answer() const;
  void attempt_lost(LinkEvidence::Kind kind, std::string cause);
  void attempt_lost(std::string cause);
  void wait_again();
  void read_login_answer();
  bool handle_login_message();  // false: there is no whole one
  void login_refused(std::span<std::byte> message);
  void login_link_lost(std::string cause);
  void kept_back_too_much();
  void forward_kept_back();

  // challenge.cpp
  void authentication_asked(Bytes message);
  [[nodiscard]] bool login_can_be_repeated() const;
  void await_words();
  void leave_unproven();
  void read_client_words();
  void pass_on_client_words();

  // role.cpp
  [[nodiscard]] bool role_is_right() const;
  void login_is_ready();
  void hear_role(Bytes message);
  void finish_login();
  [[nodiscard]] bool tells_of_other_role(char type, Bytes message) const;
  void role_changed();

  // scram.cpp
  [[nodiscard]] bool scram_takes(std::uint32_t code, Bytes message);
  void drop_login_message(Bytes message);
  void settle_with_client(Bytes authentication_ok);
  void take_scram_step(const ScramBridge::Step& step);
  void ask_for_verifier();

  // moving.cpp
  [[nodiscard]] bool is_in_clear() const;
  [[nodiscard]] bool is_idle() const;
  void end_behind_transaction(const std::string& cause);

  // relay.cpp
  void relay_from_client();
  void pass_on_from_client(std::span<std::byte> bytes);
  void relay_from_server();
  void pass_on_from_server(std::span<std::byte> bytes);
  bool may_go_on_behind(Bytes notice);
  bool long_notice_allows(std::span<std::byte> bytes);
  void commit_wait_interrupted();
  void client_finished();
  void server_link_ended(const IoResult& result);
  bool queue_to_client(Bytes bytes);
  bool may_write_to_server();
  bool queue_to_server(Bytes bytes);
  bool flush_to_client();
  [[nodiscard]] bool flush_to_server();
  void server_write_failed();

  AccessPoint& access_point_;
  DescriptorShare descriptors_;  // one for the client's link; from take_a_place() on one for the server's too
  Link client_;
  std::optional<Link> server_;
  std::unique_ptr<TlsOpening> securing_;
  State state_ = State::kStartup;
  bool client_terminated_ = false;    // Terminate was passed on
  bool server_said_goodbye_ = false;  // a FATAL or PANIC was passed on
  bool server_write_failed_ = false;
  bool counted_as_client_ = false;
  bool was_busy_while_leaving_ = false;
  bool drain_awaits_ = false;  // the route drains, and a transaction may be open
  // Until it has its place among the clients, or is gone.
  std::optional<Newcomers::Place> newcomer_;
  DescriptorShare newcomer_place_;
  bool is_silent_ = false;                         // it has said nothing yet
  std::optional<UnprovenLogins::Place> unproven_;  // while its client has been asked for a proof

  RelayBuffer to_server_;
  RelayBuffer to_client_;
  BoundaryTracker to_server_boundary_{MessageSender::kClient};
  BoundaryTracker to_client_boundary_{MessageSender::kServer};
  TransactionTracker transaction_;
  CommitWatch commit_;
  NoticeInParts long_notice_;

  // The server that the link leads to, or will.
  RouteTarget target_;
  std::uint64_t epoch_ = 0;
  std::size_t node_index_ = 0;
  bool expects_recovery_ = false;  // it is a standby, as the route has it
  ReaderCounts::Share is_reader_;  // of the read-only endpoint: counted at that node

  const IpAddress peer_;
  std::string startup_packet_;
  std::size_t startup_packet_size_ = 0;  // 0: not known yet
  unsigned encryption_requests_ = 0;
  bool tls_is_direct_ = false;  // it began without an SSLRequest
  LoginGate::Ticket ticket_ = 0;
  Resolver::Request resolving_;
  Resolver::Addresses addresses_;
  std::size_t next_address_ = 0;
  int connect_error_ = 0;  // the last of these
  bool all_addresses_refused_ = true;
  std::unique_ptr<Login> login_;         // from take_a_place() to finish_login()
  std::shared_ptr<ScramBridge> scram_;   // while an exchange is joined; shared so that a late answer finds it gone
  std::string client_words_;             // a message of the client's login, as far as it has come
  std::optional<CancelKey> cancel_key_;  // registered
  CancelRegistry::EntryId cancel_entry_ = 0;

  Timer deadline_;
  Clock clock_ = Clock::kNone;
  Instant clock_since_;
  Duration hold_left_;
  Duration login_left_;
  Duration closing_left_;
  Place place_;
};

}  // namespace pgkeel
