// Access: logins that were tried, privileges of both roles, pg_hba.conf, commits that escape replication.
#include <algorithm>

#include <fmt/format.h>

#include "proxy/base/sql_quote.h"
#include "replication/readiness/hba.h"
#include "replication/readiness/postgres_versions.h"
#include "replication/readiness/rule_set.h"

namespace pgkeel {
namespace {

constexpr const char* kRunSetupSql = "run the SQL of `pgkeel setup-sql` on the primary";
constexpr const char* kInvalidPassword = "28P01";
constexpr const char* kNotAuthorized = "28000";

bool is_below_on(const std::string& value) {
  return value == "off" || value == "local" || value == "remote_write" || value == "false" || value == "no" ||
         value == "0";
}

void judge_synchronous_commit(const Judged& judged) {
  const NodeReadinessFacts* node = judged.primary;
  if (node == nullptr) return;
  const bool promised = judged.cluster.durability != Durability::kAsync;
  const auto severity = promised ? FindingSeverity::kError : FindingSeverity::kWarning;
  const std::string consequence =
      promised ? "its commits do not wait for a standby, and may be lost in a failover"
               : "its commits may be lost in a crash or failover although they were acknowledged";
  if (is_below_on(node->value("synchronous_commit"))) {
    judged.find({.rule = "synchronous_commit",
                 .node = node->node,
                 .severity = severity,
                 .problem = fmt::format("synchronous_commit is {}: {}", node->value("synchronous_commit"), consequence),
                 .remedy = alter_system(*node, "synchronous_commit", "on", false)});
  }
  for (const auto& setting : node->server->synchronous_commit) {
    if (!is_below_on(setting.value)) continue;
    const std::string role = setting.role.empty() ? "ALL" : quote_identifier(setting.role);
    const std::string database = quote_identifier(setting.database);
    const std::string in_database = setting.database.empty() ? "" : " IN DATABASE " + database;
    const std::string whose = setting.role.empty() && !setting.database.empty() ? "ALTER DATABASE " + database
                                                                                : "ALTER ROLE " + role + in_database;
    judged.find({.rule = "synchronous_commit",
                 .node = node->node,
                 .subject = role + in_database,
                 .severity = severity,
                 .problem = fmt::format("synchronous_commit is {} for role {}{}: {}", setting.value, role, in_database,
                                        consequence),
                 .remedy = whose + " RESET synchronous_commit"});
  }
}

void judge_monitor(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  const MonitorRights& rights = server.rights;
  const std::string& user = judged.cluster.monitor.user;
  if (rights.superuser) return;
  const auto lacks = [&](const std::string& what, Prevents prevents, const std::string& consequence,
                         FindingSeverity severity = FindingSeverity::kError) {
    judged.find({.rule = "monitor_privileges",
                 .node = node.node,
                 .subject = what,
                 .severity = severity,
                 .prevents = prevents,
                 .problem = fmt::format("{} lacks {}: {}", user, what, consequence),
                 .remedy = kRunSetupSql});
  };
  if (server.version_number < kPostgres15) {
    judged.find({.rule = "monitor_privileges",
                 .node = node.node,
                 .subject = "superuser",
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = user + " is no superuser: before PostgreSQL 15 nobody else may ALTER SYSTEM and CHECKPOINT",
                 .remedy = fmt::format("ALTER ROLE {} SUPERUSER", user)});
  }
  if (!rights.may_replicate) lacks("REPLICATION", Prevents::kBoth, "it cannot make or move the nodes' slots");
  for (const auto& role : rights.missing_roles) {
    if (role == "pg_monitor") lacks(role, Prevents::kBoth, "it sees neither settings nor who streams");
    if (role == "pg_signal_backend")
      lacks(role, Prevents::kNothing,
            "an old primary that only SQL reaches keeps its sessions, and so does a pgkeel that led before and logs in "
            "as "
            "another role",
            FindingSeverity::kWarning);
    if (role == "pg_checkpoint") lacks(role, Prevents::kRejoin, "pg_rewind needs a checkpoint on the new primary");
  }
  for (const auto& function : rights.missing_functions) {
    if (function.starts_with("pg_promote")) lacks(function, Prevents::kFailover, "it cannot promote");
    if (function.starts_with("pg_reload_conf")) lacks(function, Prevents::kBoth, "what it sets takes no effect");
    if (function.starts_with("pg_ls_waldir") || function.starts_with("pg_read_file"))
      lacks(function, Prevents::kNothing, "whether two nodes are on one history is not always known",
            FindingSeverity::kWarning);
  }
  for (const auto& parameter : rights.missing_parameters) {
    const bool for_promotion = parameter == "synchronous_standby_names";
    lacks("ALTER SYSTEM on " + parameter, for_promotion ? Prevents::kBoth : Prevents::kRejoin,
          for_promotion ? "a new primary would wait for the dead one" : "it cannot point a standby at a new primary");
  }
}

void judge_replication_role(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  const std::string& user = judged.cluster.replication.user;
  const auto bad = [&](const std::string& problem, FindingSeverity severity = FindingSeverity::kError) {
    judged.find({.rule = "replication_privileges",
                 .node = node.node,
                 .severity = severity,
                 .prevents = severity == FindingSeverity::kError ? Prevents::kRejoin : Prevents::kNothing,
                 .problem = problem,
                 .remedy = kRunSetupSql});
  };
  const auto& role = server.replication_role;
  if (!role) return bad("the role " + user + " does not exist: no standby can be made");
  if (!role->may_log_in || !role->may_replicate)
    return bad(user + " lacks " + (role->may_log_in ? "REPLICATION" : "LOGIN") + ": no standby can be made");
  if (role->expired) return bad(user + " has expired (VALID UNTIL): no standby can log in");
  if (!role->missing_functions.empty() || !role->may_connect) {
    const std::string lacking = role->missing_functions.empty() ? "CONNECT on " + judged.cluster.replication.database
                                                                : comma_list(role->missing_functions);
    bad(user + " lacks " + lacking +
            ": pg_rewind cannot read with it, and an old primary is rebuilt by a copy of "
            "everything instead",
        FindingSeverity::kWarning);
  }
}

// `what` the login was for decides what it prevents.
void judge_login(const Judged& judged, const NodeReadinessFacts& node, const LoginFacts& login, bool for_rewind) {
  if (!login.tried || login.error.empty()) return;
  const DatabaseUser& user = judged.cluster.replication;
  const std::string database = for_rewind ? user.database : "replication";
  // From where pgkeel is it need not be let in, unless standbys are there too.
  const bool matters = node.local || login.sqlstate != kNotAuthorized;
  std::string remedy = "see that " + user.user + " can log in";
  if (login.sqlstate == kInvalidPassword)
    remedy = fmt::format(
        "put the password of {} into {}", user.user,
        user.password_file.empty() ? "a file, and name it as replication.password_file" : user.password_file);
  if (login.sqlstate == kNotAuthorized)
    remedy =
        fmt::format("in pg_hba.conf of {}: host {} {} {}/32 scram-sha-256, and SELECT pg_reload_conf()", node.node,
                    database, user.user, node.server->asked_from.empty() ? "<this host>" : node.server->asked_from);
  if (login.sqlstate == "53300") remedy = alter_system(node, "max_wal_senders", "10", true);
  judged.find({.rule = for_rewind ? "rewind_login" : "replication_login",
               .node = node.node,
               .severity = matters && !for_rewind ? FindingSeverity::kError : FindingSeverity::kWarning,
               .prevents = matters && !for_rewind ? Prevents::kRejoin : Prevents::kNothing,
               .problem = fmt::format("{} cannot log in from here {}: {}", user.user,
                                      for_rewind ? "for pg_rewind" : "for replication", login.error),
               .remedy = std::move(remedy)});
}

// Does pg_hba.conf of `node` let the replication role in from where `other` is?
void judge_hba_for(const Judged& judged, const NodeReadinessFacts& node, const NodeReadinessFacts& other) {
  const DatabaseUser& user = judged.cluster.replication;
  std::vector<std::string> addresses = other.addresses;
  for (const auto& sender : node.server->senders) {
    if (sender.application_name == other.node && !sender.client_address.empty()) addresses = {sender.client_address};
  }
  for (const auto& address : addresses) {
    const auto from = parse_ip_address(address);
    if (!from) continue;
    for (const bool replication : {true, false}) {
      const HbaLogin login{.user = user.user, .database = user.database, .replication = replication, .from = *from};
      if (hba_verdict(*node.server->hba, login) != HbaVerdict::kRefused) continue;
      const std::string database = replication ? "replication" : user.database;
      judged.find({.rule = "pg_hba",
                   .node = node.node,
                   .subject = database + " from " + other.node,
                   .severity = replication ? FindingSeverity::kError : FindingSeverity::kWarning,
                   .prevents = replication ? Prevents::kRejoin : Prevents::kNothing,
                   .problem = fmt::format("pg_hba.conf does not let {} {} from {} ({}){}", user.user,
                                          replication ? "replicate" : "into " + database, other.node, address,
                                          replication ? "" : ": pg_rewind cannot read, and it is rebuilt instead"),
                   .remedy = fmt::format("in pg_hba.conf of {}: host {} {} {}/{} scram-sha-256, and SELECT "
                                         "pg_reload_conf()",
                                         node.node, database, user.user, address,
                                         address.find(':') == std::string::npos ? 32 : 128)});
    }
  }
}

void judge_hba(const Judged& judged, const NodeReadinessFacts& node, const ServerFacts& server) {
  if (!server.hba) {
    judged.find({.rule = "pg_hba",
                 .node = node.node,
                 .subject = "not readable",
                 .severity = FindingSeverity::kNotice,
                 .problem = judged.cluster.monitor.user +
                            " may not read pg_hba_file_rules: whether the other nodes are let in is not known",
                 .remedy = kRunSetupSql});
    return;
  }
  for (const auto& line : *server.hba) {
    if (line.error.empty()) continue;
    judged.find({.rule = "pg_hba",
                 .node = node.node,
                 .subject = fmt::format("line {}", line.line_number),
                 .severity = FindingSeverity::kError,
                 .prevents = Prevents::kBoth,
                 .problem = fmt::format("line {} of pg_hba.conf cannot be used ({}): the server would not start again",
                                        line.line_number, line.error),
                 .remedy = "correct the line"});
  }
  for (const auto& other : judged.nodes) {
    if (&other != &node) judge_hba_for(judged, node, other);
  }
  for (const HbaLine* line : trusting_lines(*server.hba, server.asked_from)) {
    judged.find(
        {.rule = "trust",
         .node = node.node,
         .subject = fmt::format("line {}", line->line_number),
         .severity = FindingSeverity::kWarning,
         .problem = fmt::format("line {} of pg_hba.conf trusts {} in {} from the address of this proxy: whoever "
                                "reaches the access point gets in without a password",
                                line->line_number, comma_list(line->users), comma_list(line->databases)),
         .remedy = "let the line ask for scram-sha-256, or not hold for this host"});
  }
}

}  // namespace

void judge_access(const Judged& judged) {
  judge_synchronous_commit(judged);
  judged.each_server([&](const NodeReadinessFacts& node, const ServerFacts& server) {
    judge_monitor(judged, node, server);
    judge_replication_role(judged, node, server);
    judge_login(judged, node, node.replication_login, false);
    judge_login(judged, node, node.rewind_login, true);
    judge_hba(judged, node, server);
  });
}

}  // namespace pgkeel
