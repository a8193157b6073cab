#include "proxy/cli/command_line.h"

#include <functional>

#include <CLI/CLI.hpp>

#include "proxy/cli/check.h"
#include "proxy/cli/demo.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/serve.h"
#include "proxy/cli/setup_sql.h"
#include "proxy/cli/status.h"

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

}  // namespace

int run_command_line(int argument_count, char** arguments) {
  CLI::App app{"pgkeel: a PostgreSQL failover proxy with a virtual endpoint", "pgkeel"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("pgkeel ") + PGKEEL_VERSION);
  std::function<int()> run;

  ServeOptions serve;
  CLI::App* verb = add_verb(app, "serve", "Run the proxy and controller", &serve.config_path);
  verb->add_option("--adopt", serve.adopt,
                   "Take this node as the primary: NODE, or CLUSTER.NODE where there are several clusters");
  verb->callback([&] { run = [&] { return run_serve(serve); }; });

  DemoOptions demo;
  verb = add_verb(app, "demo", "Primary, standby and proxy in a temporary folder; shows a failover", nullptr);
  verb->add_flag("--keep", demo.keep, "Leave everything running until Ctrl-C");
  verb->add_option("--port", demo.port, "Port of the access point (default: a free one)");
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

  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? kExitDone : kExitUsage;
  }
  return run();
}

}  // namespace pgkeel
