#include "replication/agent/rewind_call.h"

namespace pgkeel {
namespace {

constexpr int kFirstWithConfigFile = 15;

}  // namespace

RewindCall rewind_call(int major_version, const std::string& data_directory, const std::string& upstream,
                       const std::optional<std::string>& config_file) {
  RewindCall call{{"--target-pgdata", data_directory, "--source-server", upstream, "--progress"}, {}};
  if (!config_file) return call;
  if (major_version >= kFirstWithConfigFile) {
    call.arguments.insert(call.arguments.end(), {"--config-file", *config_file});
  } else {
    // As pg_rewind does it, which knows no other place of postgresql.conf there.
    call.recovery = {"--single", "-F", "-D", data_directory, "-c", "config_file=" + *config_file, "template1"};
  }
  return call;
}

}  // namespace pgkeel
