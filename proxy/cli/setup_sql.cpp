#include "proxy/cli/setup_sql.h"

#include <algorithm>
#include <iostream>
#include <string_view>

#include "config/find.h"
#include "proxy/base/sql_quote.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"

namespace pgkeel {
namespace {

// $…$ stand for names: _text for a string constant, else an identifier. Privileges on functions are of
// one database, so that they are granted where the role logs in to.
constexpr std::string_view kScript =
    R"sql(-- The roles of pgkeel, with just what they need. Run it with psql as a superuser on the primary; standbys get them by
-- replication. It may be run again. Then give both a password, with \password, and put it into the password files.
\set ON_ERROR_STOP on

\connect $monitor_database$
SET search_path = pg_catalog, pg_temp;  -- whoever may create in public could put a function of his in between
SELECT format('CREATE ROLE %I LOGIN', $monitor_text$)
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $monitor_text$) \gexec
SELECT current_setting('server_version_num')::int >= 150000 AS from_15,
       current_setting('server_version_num')::int >= 160000 AS from_16 \gset

-- Monitoring. REPLICATION: it makes, moves and drops the nodes' slots.
ALTER ROLE $monitor$ REPLICATION;
GRANT CONNECT ON DATABASE $monitor_database$ TO $monitor$;
GRANT pg_monitor TO $monitor$;         -- settings, who streams, the list of WAL
GRANT pg_signal_backend TO $monitor$;  -- ends the sessions of an old primary that only SQL reaches, and of its own older orders
GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO $monitor$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO $monitor$;
-- Timeline history files. It could read any file of the data directory with it, as the replication role can.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text, bigint, bigint, boolean) TO $monitor$;
-- For readiness: are the other nodes let in?
GRANT SELECT ON pg_catalog.pg_hba_file_rules TO $monitor$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO $monitor$;
-- What is stored of a password, but not the password: with TLS, pgkeel authenticates clients by SCRAM with it.
-- Whoever owns the schema, or the function, could put another one in its place: nobody but a superuser may.
DO $check$
DECLARE stranger record;
BEGIN
  SELECT what, rolname INTO stranger FROM pg_catalog.pg_roles JOIN (
      SELECT 'the schema pgkeel' AS what, nspowner AS owner FROM pg_catalog.pg_namespace WHERE nspname = 'pgkeel'
      UNION ALL
      SELECT 'the function ' || p.oid::regprocedure, proowner FROM pg_catalog.pg_proc AS p
        WHERE pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pgkeel')
    ) AS present ON owner = pg_roles.oid WHERE NOT rolsuper LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% is there already, and belongs to "%", who is no superuser', stranger.what, stranger.rolname
      USING HINT = 'That role could replace the function that reads what is stored of passwords. See what it is, '
                   'drop it, or give it to a superuser (ALTER … OWNER TO), and run this again.';
  END IF;
END $check$;
CREATE SCHEMA IF NOT EXISTS pgkeel;
CREATE OR REPLACE FUNCTION pgkeel.scram_verifier(role_name text) RETURNS text
  LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
  'SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = role_name AND rolpassword LIKE ''SCRAM-SHA-256$%''';
REVOKE ALL ON SCHEMA pgkeel FROM PUBLIC;
REVOKE ALL ON FUNCTION pgkeel.scram_verifier(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgkeel TO $monitor$;
GRANT EXECUTE ON FUNCTION pgkeel.scram_verifier(text) TO $monitor$;
\if :from_15
GRANT pg_checkpoint TO $monitor$;      -- pg_rewind needs a checkpoint on a new primary
GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names, primary_conninfo, primary_slot_name TO $monitor$;
\else
-- Before PostgreSQL 15 only a superuser may ALTER SYSTEM and CHECKPOINT, and pgkeel has to do both.
ALTER ROLE $monitor$ SUPERUSER;
\endif
\if :from_16
GRANT pg_use_reserved_connections TO $monitor$;  -- it gets in where others have taken every other connection
\endif

-- Replication: standbys, pg_basebackup, and what pg_rewind reads its source with.
\connect $replication_database$
SET search_path = pg_catalog, pg_temp;
SELECT format('CREATE ROLE %I LOGIN', $replication_text$)
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $replication_text$) \gexec
ALTER ROLE $replication$ REPLICATION;
GRANT CONNECT ON DATABASE $replication_database$ TO $replication$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO $replication$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO $replication$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO $replication$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO $replication$;

-- pg_hba.conf of every node, for the address of each pgkeel and each other node (here: all of 10.0.0.0/24):
--   host  $monitor_database$  $monitor$  10.0.0.0/24  scram-sha-256
--   host  replication  $replication$  10.0.0.0/24  scram-sha-256
--   host  $replication_database$  $replication$  10.0.0.0/24  scram-sha-256
-- `pgkeel check --live` says what is missing.
)sql";

void replace_all(std::string& text, std::string_view placeholder, const std::string& with) {
  for (auto at = text.find(placeholder); at != std::string::npos; at = text.find(placeholder, at + with.size()))
    text.replace(at, placeholder.size(), with);
}

int print_for(const Config& config, const std::string& name) {
  if (name.empty() && config.clusters.size() == 1) {
    std::cout << setup_sql(config.clusters.front().monitor, config.clusters.front().replication);
    return kExitDone;
  }
  if (const ClusterConfig* found = find_cluster_config(config, name)) {
    std::cout << setup_sql(found->monitor, found->replication);
    return kExitDone;
  }
  std::cerr << "pgkeel: "
            << (name.empty() ? "there are several clusters; say --cluster NAME"
                             : complain_of_cluster(config, name).value_or(""))
            << "\n";
  return kExitUsage;
}

}  // namespace

std::string setup_sql(const DatabaseUser& monitor, const DatabaseUser& replication) {
  std::string text(kScript);
  replace_all(text, "$monitor_text$", quote_literal(monitor.user));
  replace_all(text, "$monitor_database$", quote_identifier(monitor.database));
  replace_all(text, "$monitor$", quote_identifier(monitor.user));
  replace_all(text, "$replication_text$", quote_literal(replication.user));
  replace_all(text, "$replication_database$", quote_identifier(replication.database));
  replace_all(text, "$replication$", quote_identifier(replication.user));
  return text;
}

int run_setup_sql(const SetupSqlOptions& options) {
  if (options.config_path.empty() && !options.cluster.empty()) {
    std::cerr << "pgkeel: --cluster is a cluster of a configuration file; say which with --config FILE\n";
    return kExitUsage;
  }
  if (options.config_path.empty()) {
    const ClusterConfig defaults;
    std::cout << setup_sql(defaults.monitor, defaults.replication);
    return kExitDone;
  }
  const auto config = load_or_tell(options.config_path);
  return config ? print_for(*config, options.cluster) : kExitRefused;
}

}  // namespace pgkeel
