// The part of Session that sees to it that its server has the role that the route says it has: before the client hears
// of its login, and as long as the session lasts.
#include <utility>

#include "proxy/io/loop.h"
#include "proxy/session/access_point.h"
#include "proxy/session/session.h"
#include "proxy/wire/messages.h"

namespace pgkeel {
namespace {

constexpr std::string_view kReadOnlyTransaction = "25006";
// The function of PostgreSQL that refuses what no standby can do. What a read-only transaction cannot do is refused by
// another one (PreventCommandIfReadOnly) on a standby and on a primary alike, where it is the client's own doing.
constexpr std::string_view kRefusesInRecovery = "PreventCommandDuringRecovery";

}  // namespace

bool Session::role_is_right() const {
  return login_->in_recovery == expects_recovery_;
}

// The server is ready for the first query.
void Session::login_is_ready() {
  if (login_->in_recovery) {
    finish_login();
    return;
  }
  login_->role_question.emplace(as_bytes(startup_packet_));
  queue_to_server(as_bytes(login_->role_question->text()));
}

// A message of the server behind our question.
void Session::hear_role(Bytes message) {
  if (static_cast<char>(message[0]) == 'E') {
    const ErrorFields fields = parse_error_fields(message);
    if (fields.ends_session()) {
      login_link_lost(node_phrase() + ": " + std::string(fields.message));
      return;
    }
  }
  const RoleQuestion::Part part = login_->role_question->take(message);
  if (part == RoleQuestion::Part::kUnasked) return;
  login_->looked_at -= message.size();
  login_->kept_back.erase(login_->looked_at, message.size());
  if (part != RoleQuestion::Part::kEnd) return;
  login_->in_recovery = login_->role_question->in_recovery();
  finish_login();
}

// The role is known as far as it can be.
void Session::finish_login() {
  access_point_.waiting_room().attempt_answered(*this);
  if (!role_is_right()) {
    const std::string cause = node_phrase() + (!login_->in_recovery ? " does not tell whether it is a standby"
                                               : expects_recovery_  ? " is no standby any more"
                                                                    : " is a standby");
    static constexpr std::string_view kTerminate{"X\0\0\0\4", 5};
    server_->write(as_bytes(kTerminate));
    if (!login_can_be_repeated())
      end_with_error(SqlState::kCannotConnect, "could not connect: " + cause);
    else
      attempt_lost(cause);
    return;
  }
  if (login_->cancel_key) {
    cancel_key_ = std::move(login_->cancel_key);
    cancel_entry_ = access_point_.shared().cancel_registry.add(*cancel_key_, {target_.node, epoch_});
    access_point_.login_stays(*cancel_key_, {target_.node, epoch_});
  }
  access_point_.counters().logins.add();
  access_point_.counters().established.add();
  state_ = State::kEstablished;
  run_clock(Clock::kNone);
  std::string kept_back = std::move(std::exchange(login_, nullptr)->kept_back);
  std::string().swap(startup_packet_);
  Resolver::Addresses().swap(addresses_);
  scram_.reset();
  client_.resume_reading(PauseReason::kLogin);
  pass_on_from_server(std::as_writable_bytes(std::span(kept_back)));
}

// A PostgreSQL server does not become a standby under a session: it would have to be started anew. What is between us
// and it (a pooler, a balancer) can lead the session to another one, though.
bool Session::tells_of_other_role(char type, Bytes message) const {
  if (type == 'S') {
    const auto parameter = parse_parameter_status(message);
    return parameter && parameter->name == "in_hot_standby" && (parameter->value == "on") != expects_recovery_;
  }
  if (type != 'E' || expects_recovery_) return false;
  const ErrorFields fields = parse_error_fields(message);
  return fields.sqlstate == kReadOnlyTransaction && fields.routine == kRefusesInRecovery;
}

void Session::role_changed() {
  count_end();
  const std::string cause = node_phrase() + (expects_recovery_ ? " is no standby any more" : " is a standby now");
  access_point_.report(LinkEvidence::Kind::kBroken, target_.node, epoch_, cause);
  end_with_error(SqlState::kAdminShutdown, "terminating connection: " + cause);
}

}  // namespace pgkeel
