// Asks a running pgkeel through its admin endpoint. Blocks.
#pragma once

#include <chrono>
#include <string>

#include "config/config.h"
#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

// The body of GET `path`, which begins with '/'. The error says why and what to do.
Result<std::string> ask_admin(const Config& config, const std::string& path, Duration limit = std::chrono::seconds(5));

// The JSON that POST `path` is answered with, whether it was accepted or refused for a reason of the cluster's.
Result<std::string> post_admin(const Config& config, const std::string& path, const std::string& body,
                               const std::string& token, Duration limit);

}  // namespace pgkeel
