// Which backends of a node wait for a synchronous standby, asked of the node itself: one that does is not to be
// cancelled, because PostgreSQL would acknowledge its commit although no standby has it (design 2.1). Control thread
// only. Destroying it drops the questions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/sql_answer.h"

namespace pgkeel {

class CommitWaits {
 public:
  // Monitor::run_sql.
  using RunSql = std::function<void(const std::string& node, std::string sql, Duration limit,
                                    std::function<void(Result<SqlRows, SqlError>)> done)>;

  explicit CommitWaits(RunSql run_sql) : run_sql_(std::move(run_sql)) {}

  // `answer(true)`, later: a moment ago the node said that this backend is there and does not wait. Anything else, and
  // no answer of the node in time, is false. However many ask, one statement at a time is under way on a node.
  void may_cancel(const std::string& node, std::uint32_t process_id, std::function<void(bool may_cancel)> answer);

 private:
  struct Question {
    std::uint32_t process_id = 0;
    std::function<void(bool)> answer;
  };
  struct Node {
    std::vector<Question> asked;  // the statement under way is about these
    std::vector<Question> next;
  };

  void ask_next(const std::string& name);
  void answer_all(const std::string& name, const Result<SqlRows, SqlError>& rows);

  RunSql run_sql_;
  std::map<std::string, Node> nodes_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pgkeel
