// What [coordination] says of this pgkeel itself, with the files that it names. Reads files; any thread.
#pragma once

#include <string>

#include "config/config.h"
#include "proxy/base/result.h"
#include "replication/coordination/etcd_client.h"

namespace pgkeel {

// An error names the file.
Result<EtcdSettings> read_etcd_settings(const CoordinationConfig& config);

// `name`, or its host's.
std::string own_member_name(const CoordinationConfig& config);

}  // namespace pgkeel
