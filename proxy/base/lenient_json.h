// Reads JSON that a server's answer was made into, value by value, for what it is worth: what is absent, null, of
// another type or out of range is the default. Never throws. Pure.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/base/lsn.h"

namespace pgkeel::lenient_json {

// In one line; what is no UTF-8 is replaced, never an exception.
inline std::string dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// What is no JSON becomes a value that is no object.
inline nlohmann::json parse(std::string_view text) {
  return nlohmann::json::parse(text, nullptr, false);
}

inline const nlohmann::json& member(const nlohmann::json& object, const char* key) {
  static const nlohmann::json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

inline std::string text_of(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}
inline std::string text_of(const nlohmann::json& object, const char* key) {
  return text_of(member(object, key));
}

inline std::vector<std::string> texts_of(const nlohmann::json& object, const char* key) {
  std::vector<std::string> texts;
  for (const nlohmann::json& value : member(object, key)) texts.push_back(text_of(value));
  return texts;
}

inline bool flag_of(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = member(object, key);
  return value.is_boolean() && value.get<bool>();
}

inline std::optional<double> number_of(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = member(object, key);
  if (!value.is_number()) return std::nullopt;
  const auto number = value.get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

// Only what is written as a whole number that is not negative.
inline std::optional<std::uint64_t> unsigned_of(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = member(object, key);
  return value.is_number_unsigned() ? std::optional(value.get<std::uint64_t>()) : std::nullopt;
}

// Cut down to a whole number; a negative one is nothing.
template <class Whole>
std::optional<Whole> whole_of(const nlohmann::json& object, const char* key) {
  constexpr double kTooMuch = static_cast<double>(std::numeric_limits<Whole>::max() / 2 + 1) * 2;
  const auto number = number_of(object, key);
  if (!number || *number < 0 || *number >= kTooMuch) return std::nullopt;
  return static_cast<Whole>(*number);
}

inline Lsn lsn_of(const nlohmann::json& object, const char* key) {
  return parse_lsn(text_of(object, key)).value_or(Lsn{});
}

}  // namespace pgkeel::lenient_json
