#include "config/value_text.h"

#include "config/values.h"

namespace pgkeel {
namespace {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

std::string value_text(const Key& key, const KeyValue& value) {
  switch (key.type) {
    case KeyType::kInteger:
      return std::to_string(std::get<std::int64_t>(value));
    case KeyType::kBoolean:
      return std::get<bool>(value) ? "true" : "false";
    case KeyType::kDuration:
      return in_quotes(format_whole_duration(std::get<Duration>(value)));
    case KeyType::kHostPort:
      return in_quotes(std::get<HostPort>(value).host.empty() ? "" : format_host_port(std::get<HostPort>(value)));
    case KeyType::kChoice:
      return in_quotes(key.choices[static_cast<std::size_t>(std::get<std::int64_t>(value))]);
    case KeyType::kTextList: {
      std::string list;
      for (const std::string& text : std::get<std::vector<std::string>>(value)) {
        list += (list.empty() ? "" : ", ") + in_quotes(text);
      }
      return "[" + list + "]";
    }
    default:
      return in_quotes(std::get<std::string>(value));
  }
}

}  // namespace pgkeel
