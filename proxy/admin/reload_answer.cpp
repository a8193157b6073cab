#include "proxy/admin/reload_answer.h"

#include <nlohmann/json.hpp>

#include "proxy/admin/answer_text.h"
#include "proxy/admin/request_members.h"

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace

std::string reload_answer_json(const ReloadAnswer& answer, bool preview) {
  Json changes = Json::array();
  for (const auto& change : answer.changes) {
    changes.push_back({{"key", change.path},
                       {"kind", change_kind_name(change.kind)},
                       {"before", text_or_null(change.before)},
                       {"after", text_or_null(change.after)},
                       {"in_force", reload_effect_name(change.effect)}});
  }
  const Json json = {{"accepted", answer.accepted},   {"preview", preview},
                     {"file", answer.file},           {"problems", answer.problems},
                     {"changes", std::move(changes)}, {"notes", answer.notes}};
  return answer_text(json);
}

Result<bool> parse_reload_preview(std::string_view body) {
  bool preview = false;
  RequestMembers members;
  members.flag("preview", preview);
  if (auto taken = members.take(body); !taken) return taken.error();
  return preview;
}

}  // namespace pgkeel
