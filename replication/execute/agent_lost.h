// The quarantine beside a server on another host, through its agent: what is in it, and the rows of a report, which are
// written there and fetched here. Blocks, for minutes where rows are written out: job threads, and commands that a
// person waits for. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "proxy/base/result.h"
#include "replication/agent/lost_protocol.h"
#include "replication/execute/agent_connections.h"

namespace pgkeel {

class AgentLost {
 public:
  explicit AgentLost(std::shared_ptr<AgentConnections> agent) : agent_(std::move(agent)) {}

  Result<std::vector<ToldEntry>> entries();
  Result<void> note_announced(const std::string& id);

  // As read_report() and read_lost_transactions() read them here.
  Result<nlohmann::json> report(const std::string& id);
  Result<std::vector<nlohmann::json>> transactions(const std::string& id, const nlohmann::json& report);

  // As export_lost_rows(): `target` is here, and holds what an export here would; on the agent's host nothing stays.
  Result<LostExportReport> export_rows(const std::string& id, const std::string& target,
                                       const std::function<void(const std::string&)>& progress);

 private:
  using Use = std::function<Result<void>(const std::string& piece)>;
  Result<void> read_file(const std::string& id, const std::string& name, const Use& use);
  Result<std::string> read_text(const std::string& id, const std::string& name);
  Result<ExportRecord> wait_for_export(const std::string& id, const std::function<void(const std::string&)>& progress);
  Result<void> fetch(const std::string& id, const ExportedFile& file, const std::string& target);

  std::shared_ptr<AgentConnections> agent_;
};

}  // namespace pgkeel
