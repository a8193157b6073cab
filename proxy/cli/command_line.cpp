#include "proxy/cli/command_line.h"

#include <algorithm>
#include <functional>
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "proxy/base/version.h"
#include "proxy/cli/agent.h"
#include "proxy/cli/check.h"
#include "proxy/cli/completion.h"
#include "proxy/cli/demo.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/keygen.h"
#include "proxy/cli/lead.h"
#include "proxy/cli/lost.h"
#include "proxy/cli/manual.h"
#include "proxy/cli/order.h"
#include "proxy/cli/reload.h"
#include "proxy/cli/restart.h"
#include "proxy/cli/serve.h"
#include "proxy/cli/setup_sql.h"
#include "proxy/cli/status.h"
#include "proxy/cli/usage.h"

namespace pgkeel {
namespace {

constexpr const char* kDefaultConfig = "/etc/pgkeel/pgkeel.toml";

CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& what, std::string* config_path) {
  CLI::App* verb = app.add_subcommand(name, what);
  if (config_path != nullptr) {
    *config_path = kDefaultConfig;
    verb->add_option("--config", *config_path, "Configuration file")->capture_default_str();
  }
  return verb;
}

// Scripts may give it to whatever changes something.
void add_needless_yes(CLI::App* verb) {
  verb->add_flag("--yes")->description("For scripts: this verb asks nothing");
}

CLI::App* add_order(CLI::App& app, const std::string& name, const std::string& what, OrderOptions& options) {
  CLI::App* verb = add_verb(app, name, what, &options.config_path);
  verb->add_option("CLUSTER", options.cluster, "The cluster")->required();
  verb->add_flag("--yes", options.yes, "Do not ask");
  return verb;
}

int print(const std::string& text) {
  std::cout << text << std::flush;
  return kExitDone;
}

// Builds the model of the command line, and lets `use` work with it while what it refers to is there.
using UseModel = std::function<int(CLI::App& app, const std::function<int()>& run)>;

int with_model(const UseModel& use) {
  CLI::App app{"pgkeel: a PostgreSQL failover proxy with a virtual endpoint", "pgkeel"};
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("pgkeel {}", pgkeel_version()));
  std::function<int()> run;

  ServeOptions serve;
  CLI::App* verb = add_verb(app, "serve", "Run the proxy and controller", &serve.config_path);
  verb->add_option("--adopt", serve.adopt,
                   "Take this node as the primary: NODE, or CLUSTER.NODE where there are several clusters");
  verb->add_flag("--take-over", serve.take_over,
                 "From the pgkeel that works with the same state, if one does: connections go on here");
  verb->callback([&] { run = [&] { return run_serve(serve); }; });

  RestartOptions restart;
  verb = add_verb(app, "restart", "The running pgkeel hands over to its program as it is now: nobody is refused",
                  &restart.config_path);
  verb->footer(
      "For a new version, or keys that a reload cannot change. Connections in clear go along, in transactions too. "
      "TLS\n"
      "sessions stay with the old process: each ends with 57P01 behind its next transaction, or after [proxy]\n"
      "restart_drain (a minute, unless set). Where the new process does not come up, the old one goes on.");
  add_needless_yes(verb);
  verb->callback([&] { run = [&] { return run_restart(restart); }; });

  AgentOptions agent;
  verb = add_verb(app, "agent", "Beside each PostgreSQL server: start, stop, rewind, rebuild, fence", nullptr);
  verb->add_option("--config", agent.config_path, "Configuration file")->capture_default_str();
  verb->callback([&] { run = [&] { return run_agent(agent); }; });

  DemoOptions demo;
  verb = add_verb(app, "demo", "Primary, standby and proxy in a temporary folder; shows a failover", nullptr);
  verb->add_flag("--keep", demo.keep, "Leave everything running until Ctrl-C");
  verb->add_option("--port", demo.port, "Port of the access point (default: a free one)")->check(CLI::Range(1, 65535));
  verb->callback([&] { run = [&] { return run_demo(demo); }; });

  CheckOptions check;
  verb = add_verb(app, "check", "Validate the configuration; all that is wrong at once", &check.config_path);
  auto* live = verb->add_flag("--live", check.live, "Also ask every node: would a failover and a rejoin work now?");
  verb->add_flag("--json", check.json, "What --live finds, as JSON")->needs(live);
  verb->callback([&] { run = [&] { return run_check(check); }; });

  SetupSqlOptions setup_sql;
  verb = add_verb(app, "setup-sql", "SQL that creates the roles for monitoring and replication, with what they need",
                  nullptr);
  verb->add_option("--config", setup_sql.config_path, "Configuration file, for the names of the roles");
  verb->add_option("--cluster", setup_sql.cluster, "Of this cluster, where the file has several");
  verb->callback([&] { run = [&] { return run_setup_sql(setup_sql); }; });

  KeygenOptions keygen;
  verb = add_verb(app, "keygen", "A small CA and certificates for pgkeel and its agents (mutual TLS)", nullptr);
  verb->add_option("--out", keygen.folder, "Folder for the files; what is there is never overwritten")->required();
  verb->add_option("--agent", keygen.agents, "An agent's host; HOST,ADDRESS,... where it is reached by several names");
  verb->add_option("--proxy", keygen.proxies, "The host of one of several pgkeels, as the others reach it; likewise");
  verb->add_option("--admin", keygen.admins,
                   "The host of an admin endpoint, as browsers and Prometheus reach it; likewise");
  verb->add_option("--days", keygen.days, "How long the certificates are valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  verb->callback([&] { run = [&] { return run_keygen(keygen); }; });

  StatusOptions status;
  verb = add_verb(app, "status", "Clusters, nodes, lags, route, epoch, and what is wrong", &status.config_path);
  verb->add_flag("--json", status.json, "As JSON");
  verb->add_flag("--watch", status.watch, "Again every second");
  verb->callback([&] { run = [&] { return run_status(status); }; });

  EventsOptions events;
  verb = add_verb(app, "events", "What happened", &events.config_path);
  verb->add_flag("--json", events.json, "One JSON object a line");
  verb->add_flag("--follow", events.follow, "Go on with what happens");
  verb->callback([&] { run = [&] { return run_events(events); }; });

  DecisionsOptions decisions;
  verb = add_verb(app, "decisions", "On what each failover and rejoin was founded, and how long its steps took",
                  &decisions.config_path);
  verb->add_option("CLUSTER", decisions.cluster, "The cluster")->required();
  verb->add_flag("--json", decisions.json, "One JSON object a line");
  verb->callback([&] { run = [&] { return run_decisions(decisions); }; });

  OrderOptions switchover;
  switchover.order.kind = OrderKind::kSwitchover;
  verb = add_order(app, "switchover", "Planned swap of roles: the primary and a standby, both healthy afterwards",
                   switchover);
  verb->add_option("--to", switchover.order.node, "The node to promote (default: the best)");
  verb->footer(
      "Open transactions have drain_timeout to end; then each session ends with 57P01 and may connect again at once:\n"
      "it is held until the new primary takes writes. Nothing is lost. Before the promotion everything can go back to\n"
      "how it was, and does where something goes wrong.");
  verb->callback([&] { run = [&] { return run_order(switchover); }; });

  OrderOptions maintenance;
  maintenance.order.kind = OrderKind::kMaintenance;
  std::string maintenance_word;
  verb = add_verb(app, "maintenance", "An operator works on the cluster, or on one node: pgkeel keeps its hands off",
                  &maintenance.config_path);
  verb->add_option("on|off", maintenance_word, "Begins or ends it")->required()->check(CLI::IsMember({"on", "off"}));
  verb->add_option("CLUSTER", maintenance.cluster, "The cluster")->required();
  verb->add_option("NODE", maintenance.order.node, "Only this node, a standby (default: the whole cluster)");
  verb->add_flag("--yes", maintenance.yes, "Do not ask");
  verb->footer(
      "On, for a cluster: nothing is failed over, fenced, started or rebuilt by itself; restart PostgreSQL by hand.\n"
      "On, for a node: commits do not wait for it, it is never promoted, and it is left alone.");
  verb->callback([&] {
    maintenance.order.on = maintenance_word == "on";
    run = [&] { return run_order(maintenance); };
  });

  OrderOptions stop;
  stop.order.kind = OrderKind::kStop;
  verb = add_order(app, "stop", "Every node is shut down in the right order, and clients are told", stop);
  verb->footer(
      "Open transactions have drain_timeout to end. Until `pgkeel start`, who connects gets 57P03 with the reason.");
  verb->callback([&] { run = [&] { return run_order(stop); }; });

  OrderOptions start;
  start.order.kind = OrderKind::kStart;
  verb = add_order(app, "start", "Starts what `pgkeel stop` shut down: the same primary, then its standbys", start);
  verb->callback([&] { run = [&] { return run_order(start); }; });

  OrderOptions failover;
  failover.order.kind = OrderKind::kFailover;
  verb = add_order(app, "failover", "Promote a standby now, without waiting for the primary", failover);
  verb->add_option("--to", failover.order.node, "The node to promote (default: the best)");
  verb->add_flag("--accept-loss", failover.order.accept_loss, "Also where acknowledged commits may be lost");
  verb->callback([&] { run = [&] { return run_order(failover); }; });

  OrderOptions rejoin;
  rejoin.order.kind = OrderKind::kRejoin;
  verb = add_order(app, "rejoin", "An old primary, or any broken standby, becomes a healthy standby", rejoin);
  verb->add_option("NODE", rejoin.order.node, "The node")->required();
  CLI::Option* rebuild =
      verb->add_flag("--rebuild", rejoin.order.rebuild, "By a new copy of the primary, whatever less would do");
  verb->add_flag("--discard-old-data", rejoin.order.discard_old_data,
                 "Remove the data directory that is replaced, where it held nothing of its own")
      ->needs(rebuild);
  verb->callback([&] { run = [&] { return run_order(rejoin); }; });

  OrderOptions provision;
  provision.order.kind = OrderKind::kProvision;
  verb = add_order(app, "provision", "An empty host becomes a healthy standby", provision);
  verb->add_option("NODE", provision.order.node, "The node")->required();
  verb->footer(
      "The node is in the configuration, with an agent or as a local one; PostgreSQL of the primary's version is\n"
      "installed there and does not run; the data directory is empty, or missing. It is filled with a copy of the\n"
      "primary (pg_basebackup), started, and waited for until it streams, and is safe where commits wait for "
      "standbys.\n"
      "A data directory that is not empty is never touched: that is for `pgkeel rejoin`. The order outlives this\n"
      "command, pgkeel and the agent; `pgkeel status` shows how far the copy is.");
  verb->callback([&] { run = [&] { return run_order(provision); }; });

  OrderOptions resolve;
  resolve.order.kind = OrderKind::kResolve;
  verb =
      add_order(app, "resolve", "End a collision: one node's history stays, the others are rebuilt from it", resolve);
  verb->add_option("--keep", resolve.order.node, "The node whose history stays")->required();
  verb->callback([&] { run = [&] { return run_order(resolve); }; });

  OrderOptions teardown;
  teardown.order.kind = OrderKind::kTeardown;
  verb = add_verb(app, "teardown", "Leave the cluster: what pgkeel set up is taken back, the primary stands alone",
                  &teardown.config_path);
  verb->add_option("CLUSTER", teardown.cluster, "The cluster")->required();
  verb->add_option("--name", teardown.name, "The name of the cluster once more, in place of the question");
  verb->footer(
      "Every session ends with 57P01, and who connects gets 08001. On the primary the slots pgkeel_* are dropped, and\n"
      "synchronous_standby_names and what else was set by ALTER SYSTEM is reset; the same on each standby that "
      "answers:\n"
      "it goes on streaming, without a slot. No server is stopped, no data touched. Afterwards take the cluster out "
      "of\n"
      "the configuration; `pgkeel serve --adopt NODE` takes it up again.");
  verb->callback([&] { run = [&] { return run_order(teardown); }; });

  LeadOptions lead;
  verb = add_verb(app, "lead", "Of several pgkeels: the one that leads hands over to another", &lead.config_path);
  verb->add_option("--to", lead.to, "To this one; else to the first that can lead");
  verb->add_flag("--yes", lead.yes, "Do not ask");
  verb->footer(
      "Give it to the one that leads: `pgkeel status` says which. Clients stay connected and routes stay as they are;\n"
      "a virtual IP moves along. It is refused while something is under way in a cluster, and where the other one has\n"
      "no lease, does not answer, or does not hear from a primary that this one hears.");
  verb->callback([&] { run = [&] { return run_lead(lead); }; });

  ReloadOptions reload;
  verb = add_verb(app, "reload", "A running pgkeel takes its changed configuration over: all of it, or nothing",
                  &reload.config_path);
  verb->add_flag("--dry-run", reload.dry_run, "Only tell what would change, and whether it would be refused");
  verb->add_flag("--json", reload.json, "The answer as JSON");
  verb->add_flag("--yes", reload.yes, "Do not ask");
  verb->footer(
      "No client is dropped, but for those of a cluster that is removed. SIGHUP does the same; `pgkeel events` then\n"
      "tells how it went. What waits for a restart is named, and all the rest is taken over.");
  verb->callback([&] { run = [&] { return run_reload(reload); }; });

  LostOptions lost;
  verb = add_verb(app, "lost", "What a diverged node had committed that the cluster lost", &lost.config_path);
  verb->add_option("CLUSTER", lost.cluster, "Name of the cluster")->required();
  verb->add_option("REPORT", lost.report, "Show this report, or the one whose name begins so");
  verb->add_option("--export", lost.export_folder, "Write the lost rows as CSV files into this new folder");
  verb->add_flag("--json", lost.json, "As JSON");
  verb->callback([&] { run = [&] { return run_lost(lost); }; });

  std::string shell;
  verb = add_verb(app, "completion", "Prints what makes a shell complete pgkeel's command line", nullptr);
  verb->add_option("bash|zsh|fish", shell, "The shell")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->callback([&] { run = [&] { return print(completion_script(shell)); }; });

  // What the package's manual pages are made with.
  std::string page;
  verb = add_verb(app, "manual", "Prints a manual page", nullptr);
  verb->add_option("PAGE", page, "The page")->required()->check(CLI::IsMember({"pgkeel", "pgkeel.toml"}));
  verb->group("");
  verb->callback(
      [&] { run = [&] { return print(page == "pgkeel" ? manual_of_program(app) : manual_of_configuration()); }; });

  complete_model(app);
  return use(app, run);
}

}  // namespace

int run_command_line(int argument_count, char** arguments) {
  const std::vector<std::string> words(arguments + std::min(1, argument_count), arguments + argument_count);
  if (!words.empty() && words.front() == kCompleteVerb)
    return with_model([&](CLI::App& app, const auto&) {
      return print(completions_text(complete(app, {words.begin() + 1, words.end()})));
    });
  return with_model([&](CLI::App& app, const std::function<int()>& run) {
    try {
      app.parse(argument_count, arguments);
    } catch (const CLI::ParseError& problem) {
      if (problem.get_exit_code() == 0) return app.exit(problem);
      std::cerr << usage_problem(app, words, problem) << "\n";
      return kExitUsage;
    }
    return run();
  });
}

std::string problem_of_arguments(const std::vector<std::string>& words) {
  std::string text;
  with_model([&](CLI::App& app, const auto&) {
    try {
      app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    } catch (const CLI::ParseError& problem) {
      if (problem.get_exit_code() != 0) text = usage_problem(app, words, problem);
    }
    return kExitDone;
  });
  return text;
}

std::vector<std::string> verbs_without_examples() {
  std::vector<std::string> names;
  with_model([&](CLI::App& app, const auto&) {
    names = verbs_without_examples(app);
    return kExitDone;
  });
  return names;
}

std::vector<std::string> completions_of(const std::vector<std::string>& words) {
  std::vector<std::string> texts;
  with_model([&](CLI::App& app, const auto&) {
    for (auto& completion : complete(app, words)) texts.push_back(std::move(completion.text));
    return kExitDone;
  });
  return texts;
}

}  // namespace pgkeel
