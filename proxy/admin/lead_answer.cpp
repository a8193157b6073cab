#include "proxy/admin/lead_answer.h"

#include <nlohmann/json.hpp>

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Result<LeadRequest> parse_lead_request(std::string_view body) {
  const Json json = body.empty() ? Json::object() : Json::parse(body, nullptr, false);
  if (!json.is_object()) return Error{"the body is no JSON object"};
  LeadRequest request;
  for (const auto& [name, value] : json.items()) {
    if (name == "to") {
      if (!value.is_string()) return Error{"\"to\" must be a string"};
      request.to = value.get<std::string>();
    } else if (name == "preview") {
      if (!value.is_boolean()) return Error{"\"preview\" must be true or false"};
      request.preview = value.get<bool>();
    } else {
      return Error{"\"" + name + "\" is not known here"};
    }
  }
  return request;
}

std::string lead_answer_json(const LeadAnswer& answer) {
  Json json = {{"accepted", answer.accepted}};
  if (!answer.reason.empty()) json["reason"] = answer.reason;
  if (!answer.leader.empty()) json["leader"] = answer.leader;
  if (!answer.consequences.empty()) json["consequences"] = answer.consequences;
  if (answer.without_leader)
    json["without_leader_ms"] = std::chrono::duration<double, std::milli>(*answer.without_leader).count();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace pgkeel
