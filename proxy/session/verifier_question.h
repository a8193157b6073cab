// A worker asks the control thread for what a server stores of a user's password, so that it can authenticate the user
// itself (scram_bridge.h).
#pragma once

#include <functional>
#include <string>

#include "proxy/upstream/scram_bridge.h"

namespace pgkeel {

struct VerifierQuestion {
  std::string cluster;
  std::string node;
  std::string user;
};

using VerifierSink = std::function<void(VerifierAnswer answer)>;
using VerifierSource = std::function<void(VerifierQuestion question, VerifierSink sink)>;

}  // namespace pgkeel
