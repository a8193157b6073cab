// Reads what a node stores of a user's password, for SCRAM exchanges that pgkeel joins. Nothing is kept: each login
// asks anew, and what was read is wiped. Control thread only. Destroying it drops the questions.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "proxy/base/log.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/sql_answer.h"
#include "proxy/session/verifier_question.h"

namespace pgkeel {

class ScramVerifiers {
 public:
  // Monitor::run_sql.
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
  struct Node {
    Way way = Way::kCatalog;
    bool missing_right_told = false;
  };

  // `tried`: the ways that this question has come.
  void ask(const std::string& node, const std::string& user, Way way, int tried, VerifierSink sink);
  void answered(const std::string& node, Way way, Result<SqlRows, SqlError> rows, const VerifierSink& sink);

  RunSql run_sql_;
  Tell tell_;
  std::map<std::string, Node> nodes_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
