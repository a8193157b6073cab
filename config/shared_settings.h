// What of a configuration several pgkeels must have in common, and in which keys two of them differ. What each host has
// of its own (where it listens, its files, its limits) is left out. Pure; any thread. No value is a secret.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/config.h"

namespace pgkeel {

// By path ("cluster.orders.node.b.priority"), each value as TOML. Taken by value, as config_changes() is.
using SharedSettings = std::map<std::string, std::string>;
SharedSettings shared_settings(Config config);

// The same for the same settings, and hardly ever else; 16 hexadecimal digits.
std::string digest_of(const SharedSettings& settings);

// The keys whose values differ, or that one of them lacks. A cluster or node that one of them lacks is named once.
std::vector<std::string> differing_settings(const SharedSettings& ours, const SharedSettings& theirs);

}  // namespace pgkeel
