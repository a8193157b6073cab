// Reads what a node stores of users' passwords, for SCRAM exchanges that pgkeel joins. Nothing is kept: each login
// asks anew, and what was read is wiped. However many ask, one statement at a time is under way on a node, about all
// users that were asked for meanwhile. Control thread only. Destroying it drops the questions.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/log.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/sql_answer.h"
#include "proxy/session/verifier_question.h"

namespace pgkeel {

class ScramVerifiers {
 public:
  // Monitor::run_sql_for_clients.
  using RunSql = std::function<void(const std::string& node, std::string sql, Duration limit,
                                    std::function<void(Result<SqlRows, SqlError>)> done)>;
  using Tell = std::function<void(LogLevel severity, const std::string& node, const std::string& text)>;

  // `tell` is called where the right to read them turns out to be missing, and when it is there again.
  ScramVerifiers(RunSql run_sql, Tell tell) : run_sql_(std::move(run_sql)), tell_(std::move(tell)) {}

  // `sink` is called later, once.
  void read(const std::string& node, const std::string& user, VerifierSink sink);

 private:
  // Where to read: a superuser may look itself, another role has the function that `pgkeel setup-sql` creates.
  enum class Way { kCatalog, kFunction };
  // What one statement asks for: users, and who wants to know.
  using Users = std::map<std::string, std::vector<VerifierSink>>;
  struct Node {
    Way way = Way::kCatalog;
    bool missing_right_told = false;
    bool is_asked = false;
    std::deque<Users> waiting;  // the last one takes more, up to kUsersMax
  };

  void ask_next(const std::string& name);
  // `tried`: the ways that this statement has come.
  void ask(const std::string& name, Users users, Way way, int tried);
  void answered(const std::string& name, Users users, Way way, int tried, Result<SqlRows, SqlError> rows);

  RunSql run_sql_;
  Tell tell_;
  std::map<std::string, Node> nodes_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
