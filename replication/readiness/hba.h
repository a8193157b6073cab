// Whom pg_hba.conf lets in: its lines as pg_hba_file_rules shows them, applied to one login as PostgreSQL does. Pure.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/ip_address.h"
#include "replication/readiness/facts.h"

namespace pgkeel {

struct HbaLogin {
  std::string user;
  std::string database;  // of a normal login
  bool replication = false;
  IpAddress from;
};

enum class HbaVerdict {
  kAdmitted,  // a line with an authentication method is there for it
  kRefused,   // no line is, or one that rejects it
  kNotKnown,  // that depends on names of hosts, memberships or patterns
};

HbaVerdict hba_verdict(const std::vector<HbaLine>& lines, const HbaLogin& login);

// The lines with `trust` that let connections from this address in as somebody, other than for replication alone.
std::vector<const HbaLine*> trusting_lines(const std::vector<HbaLine>& lines, const std::string& numeric_address);

}  // namespace pgkeel
