#include "proxy/admin/request_members.h"

#include <nlohmann/json.hpp>

namespace pgkeel {
namespace {

using Json = nlohmann::ordered_json;

Error wrong_type(const std::string& name, const char* wanted) {
  return Error{"\"" + name + "\" must be " + wanted};
}

Result<void> put(const Json& value, const std::string& name, std::string* into) {
  if (!value.is_string()) return wrong_type(name, "a string");
  *into = value.get<std::string>();
  return {};
}

Result<void> put(const Json& value, const std::string& name, bool* into) {
  if (!value.is_boolean()) return wrong_type(name, "true or false");
  *into = value.get<bool>();
  return {};
}

}  // namespace

Result<void> RequestMembers::take(std::string_view body) const {
  const Json json = body.empty() ? Json::object() : Json::parse(body, nullptr, false);
  if (!json.is_object()) return Error{"the body is no JSON object"};
  const auto take_one = [](const Json& value, const std::string& name, const Member& member) {
    return std::visit([&](auto* into) { return put(value, name, into); }, member.into);
  };
  for (const auto& [name, member] : members_) {
    if (!member.is_needed || json.contains(name)) continue;
    if (auto missing = take_one(Json(), name, member); !missing) return missing;
  }
  for (const auto& [name, value] : json.items()) {
    const auto member = members_.find(name);
    if (member == members_.end()) return Error{"\"" + name + "\" is not known here"};
    if (auto taken = take_one(value, name, member->second); !taken) return taken;
  }
  return {};
}

}  // namespace pgkeel
