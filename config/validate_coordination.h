// The rules of [coordination], and between it and the clusters. Pure; any thread.
#pragma once

#include <functional>
#include <string>

#include "config/config.h"

namespace pgkeel {

// Without [coordination] it says nothing. Keys that are empty break no rule here.
void validate_coordination(const Config& config,
                           const std::function<void(const std::string& path, const std::string& what)>& complain);

}  // namespace pgkeel
