// The body of a request to the admin endpoint: a JSON object, and the members that it may have. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "proxy/base/result.h"

namespace pgkeel {

class RequestMembers {
 public:
  // What they are put into outlives this object.
  void text(const std::string& name, std::string& into) { members_[name] = {&into}; }
  void flag(const std::string& name, bool& into) { members_[name] = {&into}; }
  void needed_flag(const std::string& name, bool& into) { members_[name] = {&into, true}; }

  // No body is an object without members. An error where it is none, or a member is not one of these, is missing, or of
  // another type.
  [[nodiscard]] Result<void> take(std::string_view body) const;

 private:
  struct Member {
    std::variant<std::string*, bool*> into;
    bool is_needed = false;
  };

  std::map<std::string, Member> members_;
};

}  // namespace pgkeel
