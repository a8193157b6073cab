#include "replication/readiness/hba.h"

#include <algorithm>
#include <optional>

namespace pgkeel {
namespace {

enum class Match { kNo, kMaybe, kYes };

Match address_match(const HbaLine& line, const IpAddress& from) {
  if (line.address == "all") return Match::kYes;
  const auto network = parse_ip_address(line.address);
  if (!network) return Match::kMaybe;  // samehost, samenet, or a name
  if (is_ipv4(*network) != is_ipv4(from)) return Match::kNo;
  const auto mask = parse_ip_address(line.netmask);
  if (!mask) return *network == from ? Match::kYes : Match::kNo;
  for (std::size_t i = is_ipv4(from) ? 12 : 0; i < from.bytes.size(); ++i) {
    if ((from.bytes[i] & mask->bytes[i]) != (network->bytes[i] & mask->bytes[i])) return Match::kNo;
  }
  return Match::kYes;
}

Match best_of(const std::vector<std::string>& names, Match (*match)(const std::string&, const HbaLogin&),
              const HbaLogin& login) {
  Match best = Match::kNo;
  for (const auto& name : names) best = std::max(best, match(name, login));
  return best;
}

Match user_match(const std::string& name, const HbaLogin& login) {
  if (name == "all" || name == login.user) return Match::kYes;
  return name.starts_with('+') || name.starts_with('/') ? Match::kMaybe : Match::kNo;
}

Match database_match(const std::string& name, const HbaLogin& login) {
  if (login.replication) return name == "replication" ? Match::kYes : Match::kNo;
  if (name == "replication") return Match::kNo;
  if (name == "all" || name == login.database || (name == "sameuser" && login.user == login.database))
    return Match::kYes;
  return name == "samerole" || name == "samegroup" || name.starts_with('/') ? Match::kMaybe : Match::kNo;
}

// Over the network, with or without TLS: a client that prefers TLS tries both.
bool is_for_tcp(const HbaLine& line) {
  return line.type.starts_with("host") && line.type != "hostgssenc";
}

}  // namespace

HbaVerdict hba_verdict(const std::vector<HbaLine>& lines, const HbaLogin& login) {
  for (const auto& line : lines) {
    if (!line.error.empty() || !is_for_tcp(line)) continue;
    const Match match = std::min({address_match(line, login.from), best_of(line.users, user_match, login),
                                  best_of(line.databases, database_match, login)});
    if (match == Match::kNo) continue;
    if (match == Match::kMaybe) return HbaVerdict::kNotKnown;
    if (line.method != "reject") return HbaVerdict::kAdmitted;
    if (line.type == "host") return HbaVerdict::kRefused;
  }
  return HbaVerdict::kRefused;
}

std::vector<const HbaLine*> trusting_lines(const std::vector<HbaLine>& lines, const std::string& numeric_address) {
  std::vector<const HbaLine*> found;
  const auto from = parse_ip_address(numeric_address);
  for (const auto& line : lines) {
    if (line.method != "trust") continue;
    const bool only_replication =
        std::ranges::all_of(line.databases, [](const auto& database) { return database == "replication"; });
    const bool reaches = from ? is_for_tcp(line) && address_match(line, *from) == Match::kYes : line.type == "local";
    if (reaches && !only_replication) found.push_back(&line);
  }
  return found;
}

}  // namespace pgkeel
