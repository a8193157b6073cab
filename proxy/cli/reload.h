// `pgkeel reload`: a running pgkeel takes its changed configuration over, or tells what that would change.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/result.h"

namespace pgkeel {

struct ReloadOptions {
  std::string config_path;
  bool dry_run = false;
  bool json = false;
  bool yes = false;  // on a terminal: it is not asked
};

int run_reload(const ReloadOptions& options);

// What is refused before the running pgkeel is asked, as POST /api/v1/reload would say it. Pure.
std::string refused_here_json(const ReloadOptions& options, std::vector<std::string> problems);

// What POST /api/v1/reload answered, for a person. Pure; a document that is not what was expected is an error.
struct ReloadText {
  bool accepted = false;
  std::size_t changes = 0;
  std::string lines;
};
Result<ReloadText> reload_text(const std::string& answer_json);

}  // namespace pgkeel
