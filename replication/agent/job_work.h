// What the agent does for each kind of job. Blocks: the job's thread.
#pragma once

#include "replication/agent/agent_protocol.h"
#include "replication/agent/job_desk.h"
#include "replication/agent/node_host.h"

namespace pgkeel {

JobOutcome carry_out(const JobRequest& request, const NodeHost& host, const NodeHost::Progress& progress);

}  // namespace pgkeel
