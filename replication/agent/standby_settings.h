// What makes a data directory a standby of another server, as text: primary_conninfo, postgresql.auto.conf, .pgpass.
// Pure. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgkeel {

// 'value' as a line of postgresql.conf wants it.
std::string quote_setting(std::string_view value);

struct StandbySettings {
  std::string primary_conninfo;
  std::string primary_slot_name;
  std::optional<std::uint16_t> port;  // where the rest of the configuration is another server's
};

// The node's own postgresql.auto.conf as a standby: its upstream is replaced; synchronous_standby_names (which could
// make it wait for itself once it is promoted) and every recovery_target go; the rest stays.
std::string standby_auto_conf(std::string_view auto_conf, const StandbySettings& settings);

// A password file for `user`, on whichever node is the primary.
std::string password_file_text(std::string_view user, std::string_view password);

// The first line of a file that holds a password.
std::string first_line(std::string_view text);

}  // namespace pgkeel
