#include "replication/agent/standby_files.h"

#include <filesystem>

#include "replication/agent/standby_settings.h"

namespace pgkeel {

Result<void> write_standby_files(const DataDirectory& directory, const std::string& target,
                                 const UpstreamAccess& upstream, const std::string& node,
                                 std::optional<std::uint16_t> port) {
  const auto owner = directory.owner();
  if (!owner) return owner.error();
  // This first: from here on it can only start as a standby, of whomever.
  if (auto written = write_durably(target + "/standby.signal", "", 0600, *owner); !written) return written;
  if (auto removed = remove_durably(target + "/recovery.signal"); !removed) return removed;

  std::string password_file;
  if (!upstream.password().empty()) {
    password_file = directory.file("pgkeel.pgpass");
    const auto text = password_file_text(upstream.server().replication.user, upstream.password());
    if (auto written = write_durably(target + "/pgkeel.pgpass", text, 0600, *owner); !written) return written;
  }
  const auto auto_conf = target + "/postgresql.auto.conf";
  std::string before;
  std::error_code ignored;
  if (std::filesystem::exists(auto_conf, ignored)) {
    auto text = read_file(auto_conf, 1U << 20);
    if (!text) return text.error();
    before = std::move(*text);
  }
  const StandbySettings settings{upstream.primary_conninfo(node, password_file), "pgkeel_" + node, port};
  return write_durably(auto_conf, standby_auto_conf(before, settings), 0600, *owner);
}

}  // namespace pgkeel
