// Reads the members of a JSON object that came from outside, each with its type and limits; for the files of this
// folder that speak JSON. Pure. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/values.h"
#include "proxy/base/lsn.h"
#include "proxy/base/result.h"

namespace pgkeel {

using Json = nlohmann::json;

constexpr std::size_t kIdBytesMax = 64;
constexpr std::size_t kTextBytesMax = 4096;

// Never throws: bytes that are no UTF-8 are replaced.
inline std::string dump_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// What is no JSON at all becomes a value that is no object.
inline Json parse_json(std::string_view text) {
  return Json::parse(text, nullptr, false);
}

inline bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdBytesMax &&
         std::ranges::all_of(text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; });
}

template <class Value, std::size_t kCount>
const char* name_of(const std::array<std::pair<Value, const char*>, kCount>& names, Value value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "";
}

// The first member that is missing or wrong makes the whole wrong.
class Members {
 public:
  explicit Members(const Json& object) : object_(object) {
    if (!object.is_object()) complain("it is no object");
  }

  std::string text(const char* name, std::size_t bytes_max = kTextBytesMax) {
    const Json* member = find(name);
    if (member == nullptr || !member->is_string()) return complain(std::string(name) + " is no text"), std::string();
    const auto& value = member->get_ref<const std::string&>();
    if (value.size() > bytes_max) return complain(std::string(name) + " is too long"), std::string();
    return value;
  }

  template <class Number>
  Number number(const char* name, Number most = std::numeric_limits<Number>::max()) {
    const Json* member = find(name);
    if (member == nullptr || !member->is_number_integer()) return complain(std::string(name) + " is no number"), 0;
    if (member->is_number_unsigned()) {
      const auto value = member->get<std::uint64_t>();
      if (std::cmp_less_equal(value, most)) return static_cast<Number>(value);
    } else if (std::is_signed_v<Number>) {
      const auto value = member->get<std::int64_t>();
      if (std::cmp_greater_equal(value, std::numeric_limits<Number>::min()) && std::cmp_less_equal(value, most))
        return static_cast<Number>(value);
    }
    return complain(std::string(name) + " is out of range"), 0;
  }

  bool flag(const char* name) {
    const Json* member = find(name);
    if (member == nullptr || !member->is_boolean())
      return complain(std::string(name) + " is neither true nor false"), false;
    return member->get<bool>();
  }

  Lsn lsn(const char* name) {
    const auto value = parse_lsn(text(name));
    if (!value) complain(std::string(name) + " is no LSN");
    return value.value_or(Lsn{});
  }

  template <class Value, std::size_t kCount>
  Value choice(const char* name, const std::array<std::pair<Value, const char*>, kCount>& names) {
    const auto chosen = text(name);
    for (const auto& [value, known] : names) {
      if (chosen == known) return value;
    }
    complain(std::string(name) + " is none that is known");
    return names.front().first;
  }

  const Json& array(const char* name, std::size_t most) {
    static const Json kNone = Json::array();
    const Json* member = find(name);
    if (member != nullptr && member->is_array() && member->size() <= most) return *member;
    complain(std::string(name) + " is no list, or too long");
    return kNone;
  }

  // What the other side may be too old to tell: `otherwise` where it is not there. Where it is, it must be right.
  std::string text_or(const char* name, std::string otherwise) {
    return find(name) == nullptr ? std::move(otherwise) : text(name);
  }
  template <class Number>
  Number number_or(const char* name, Number otherwise) {
    return find(name) == nullptr ? otherwise : number<Number>(name);
  }
  bool flag_or(const char* name, bool otherwise) { return find(name) == nullptr ? otherwise : flag(name); }
  const Json& array_or_none(const char* name, std::size_t most) {
    static const Json kNone = Json::array();
    return find(name) == nullptr ? kNone : array(name, most);
  }

  // Null where it is not there.
  const Json* find(const char* name) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  void complain(std::string why) {
    if (problem_.empty()) problem_ = std::move(why);
  }
  void complain_where(const Complaint& complaint) {
    if (complaint) complain(*complaint);
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  const Json& object_;
  std::string problem_;
};

template <class T>
Result<T> checked(const Members& members, T value, const char* what) {
  if (!members.problem().empty()) return Error{std::string("this is no ") + what + ": " + members.problem()};
  return value;
}

}  // namespace pgkeel
