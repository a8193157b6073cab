#include "proxy/admin/lead_answer.h"

#include <nlohmann/json.hpp>

#include "proxy/admin/answer_text.h"
#include "proxy/admin/request_members.h"

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Result<LeadRequest> parse_lead_request(std::string_view body) {
  LeadRequest request;
  RequestMembers members;
  members.text("to", request.to);
  members.flag("preview", request.preview);
  if (auto taken = members.take(body); !taken) return taken.error();
  return request;
}

std::string lead_answer_json(const LeadAnswer& answer) {
  Json json = {{"accepted", answer.accepted}};
  if (!answer.reason.empty()) json["reason"] = answer.reason;
  if (!answer.leader.empty()) json["leader"] = answer.leader;
  if (!answer.consequences.empty()) json["consequences"] = answer.consequences;
  if (answer.without_leader)
    json["without_leader_ms"] = std::chrono::duration<double, std::milli>(*answer.without_leader).count();
  return answer_text(json);
}

}  // namespace pgkeel
