// `pgkeel setup-sql`: prints the SQL that creates the roles that pgkeel uses, with just what they need.
#pragma once

#include <string>

#include "config/config.h"

namespace pgkeel {

struct SetupSqlOptions {
  std::string config_path;  // empty: the roles' default names
  std::string cluster;
};

int run_setup_sql(const SetupSqlOptions& options);

// A script for psql, to be run by a superuser on the primary. It may be run again, on any version from 13 to 17. Pure.
std::string setup_sql(const DatabaseUser& monitor, const DatabaseUser& replication);

}  // namespace pgkeel
