#include "proxy/wire/commit_watch.h"

#include <algorithm>

#include "proxy/wire/frame.h"

namespace pgkeel {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

// Takes the next word off; it must be this one, in whatever case.
bool take_word(std::string_view& text, std::string_view upper) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  if (text.size() < upper.size()) return false;
  for (std::size_t i = 0; i < upper.size(); ++i) {
    const char letter = text[i];
    if ((letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter) != upper[i]) return false;
  }
  text.remove_prefix(upper.size());
  return text.empty() || text.front() == ';' || text.front() == '\0' || kBlanks.find(text.front()) != kBlanks.npos;
}

bool is_commit(std::string_view sql) {
  for (const std::string_view word : {"COMMIT", "END"}) {
    std::string_view rest = sql;
    if (take_word(rest, word)) return true;
  }
  return take_word(sql, "PREPARE") && take_word(sql, "TRANSACTION");
}

// Up to the next zero, which is taken off too.
std::string_view take_string(std::string_view& body) {
  const std::string_view text = body.substr(0, body.find('\0'));
  body.remove_prefix(std::min(text.size() + 1, body.size()));
  return text;
}

std::uint64_t hash_of(std::string_view name) {  // FNV-1a; never 0
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211ULL;
  return hash | 1U;
}

}  // namespace

void CommitWatch::client_sent(char type, Bytes message) {
  switch (type) {
    case 'Q':
      in_flight_ = in_flight_ || is_commit(as_text(message.subspan(kMessageHeaderBytes)));
      return;
    case 'P':
      return parsed(as_text(message.subspan(kMessageHeaderBytes)));
    case 'B':
      return bound(as_text(message.subspan(kMessageHeaderBytes)));
    case 'E':
      in_flight_ = in_flight_ || portal_commits_;
      return;
    default:
      return;
  }
}

void CommitWatch::parsed(std::string_view body) {
  const std::string_view name = take_string(body);
  const bool commits = is_commit(body);
  if (name.empty()) {
    unnamed_commits_ = commits;
  } else if (commits) {
    named_commit_ = hash_of(name);
  }
}

void CommitWatch::bound(std::string_view body) {
  portal_commits_ = false;
  if (!unnamed_commits_ && named_commit_ == 0) return;
  take_string(body);  // of the portal
  const std::string_view statement = take_string(body);
  portal_commits_ = statement.empty() ? unnamed_commits_ : hash_of(statement) == named_commit_;
}

}  // namespace pgkeel
