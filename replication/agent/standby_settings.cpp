#include "replication/agent/standby_settings.h"

#include <algorithm>
#include <cctype>

namespace pgkeel {
namespace {

// The name in "name = value" or "name value", in lower case; empty for comments and what is no setting.
std::string setting_name(std::string_view line) {
  const auto begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  line.remove_prefix(begin);
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; };
  std::string name(line.begin(), std::ranges::find_if_not(line, is_name));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return name;
}

bool is_replaced(const std::string& name, const StandbySettings& settings) {
  return name == "primary_conninfo" || name == "primary_slot_name" || name == "synchronous_standby_names" ||
         name.starts_with("recovery_target") || (name == "port" && settings.port);
}

}  // namespace

std::string quote_setting(std::string_view value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'') text += '\'';
    if (c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

std::string standby_auto_conf(std::string_view auto_conf, const StandbySettings& settings) {
  std::string text;
  while (!auto_conf.empty()) {
    const auto newline = auto_conf.find('\n');
    const auto line = auto_conf.substr(0, newline);
    auto_conf = newline == std::string_view::npos ? std::string_view() : auto_conf.substr(newline + 1);
    if (!is_replaced(setting_name(line), settings)) text.append(line).append("\n");
  }
  if (settings.port) text += "port = " + std::to_string(*settings.port) + "\n";
  text += "primary_conninfo = " + quote_setting(settings.primary_conninfo) + "\n";
  text += "primary_slot_name = " + quote_setting(settings.primary_slot_name) + "\n";
  text += "recovery_target_timeline = 'latest'\n";
  return text;
}

std::string password_file_text(std::string_view user, std::string_view password) {
  const auto escape = [](std::string_view field) {
    std::string text;
    for (const char c : field) {
      if (c == ':' || c == '\\') text += '\\';
      text += c;
    }
    return text;
  };
  return "*:*:*:" + escape(user) + ":" + escape(password) + "\n";
}

std::string first_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return std::string(text);
}

}  // namespace pgkeel
