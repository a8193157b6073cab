// What became of a reload, or would, and its JSON (openapi.json). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/changes.h"
#include "proxy/admin/configuration_status.h"
#include "proxy/base/result.h"

namespace pgkeel {

struct ReloadAnswer {
  std::string file;
  bool accepted = false;              // false: nothing has changed
  std::vector<std::string> problems;  // why not, each one line
  std::vector<ConfigChange> changes;  // of the file against what runs; those that wait for a restart are marked
  std::vector<std::string> notes;     // what an operator may not expect
};

std::string reload_answer_json(const ReloadAnswer& answer, bool preview);

// Of the body of POST /api/v1/reload: whether it shall only be told what would change.
Result<bool> parse_reload_preview(std::string_view body);

}  // namespace pgkeel
