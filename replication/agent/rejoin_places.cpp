#include "replication/agent/rejoin_places.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "proxy/io/descriptor.h"
#include "replication/agent/room.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;
using Json = nlohmann::json;

constexpr mode_t kFolderMode = 0700;
constexpr std::size_t kNoteBytesMax = 16U << 20;
constexpr Duration kRemovalLimit = 12h;
constexpr std::string_view kMovedTag = ".pgkeel-";  // in the names of folders that a rebuild makes elsewhere
constexpr std::string_view kNewTag = ".new-";       // and in that of the new data directory

bool is_time_stamp(std::string_view text) {
  constexpr std::string_view kShape = "ddddddddTdddddd.dddZ";
  return std::ranges::equal(text, kShape, [](char c, char shape) {
    return shape == 'd' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == shape;
  });
}

// Where the tag and its time stamp begin at the end of a path; npos: there are none.
std::size_t find_tag(std::string_view path, std::string_view tag) {
  const auto at = path.rfind(tag);
  return at != std::string_view::npos && is_time_stamp(path.substr(at + tag.size())) ? at : std::string_view::npos;
}

std::error_code errno_now() {
  return {errno, std::generic_category()};
}

// A folder by its whole path, on which there is no link; errno where that fails.
Descriptor open_folder(const files::path& path) {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  Descriptor folder(open("/", kFlags));
  for (const auto& name : path.relative_path()) {
    if (!folder.is_open()) return folder;
    folder = Descriptor(openat(folder.number(), name.c_str(), kFlags));
  }
  return folder;
}

// The folder that is to be made, by a path without a link.
Result<std::string> without_links(const std::string& path) {
  std::error_code problem;
  const auto parent = files::path(path).parent_path();
  files::create_directories(parent, problem);
  const auto real = problem ? parent : files::canonical(parent, problem);
  if (problem) return Error{"cannot create " + path + ": " + problem.message()};
  return (real / files::path(path).filename()).string();
}

}  // namespace

std::string fresh_place(const std::string& path, const std::string& time_stamp) {
  return path.substr(0, find_tag(path, kMovedTag)).append(kMovedTag).append(time_stamp);
}

RejoinPlaces::RejoinPlaces(const DataDirectory& directory)
    : directory_(directory), file_(directory.beside(".pgkeel-places")) {}

Result<std::vector<RejoinPlaces::Place>> RejoinPlaces::noted() const {
  std::vector<Place> places;
  const Descriptor file(open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open() && errno == ENOENT) return places;
  if (!file.is_open() && errno != ELOOP) return Error{"cannot open " + file_ + ": " + std::strerror(errno)};
  struct stat found {};
  const bool is_written_by_us = file.is_open() && fstat(file.number(), &found) == 0 && S_ISREG(found.st_mode) &&
                                (found.st_uid == geteuid() || found.st_uid == 0) && found.st_nlink == 1 &&
                                (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  if (!is_written_by_us) return Error{file_ + " was not written by pgkeel"};
  // The very file that was looked at, whatever bears its name by now.
  const auto text = read_file("/proc/self/fd/" + std::to_string(file.number()), kNoteBytesMax);
  if (!text) return Error{file_ + ": " + text.error().message};
  const auto json = Json::parse(*text, nullptr, false);
  const auto damaged = Error{file_ + " is damaged"};
  if (!json.is_array()) return damaged;
  for (const auto& row : json) {
    if (!row.is_object()) return damaged;
    const auto path = row.find("path");
    const auto device = row.find("device");
    const auto inode = row.find("inode");
    if (path == row.end() || !path->is_string()) return damaged;
    for (const auto& number : {device, inode}) {
      if (number == row.end() || !number->is_number_unsigned()) return damaged;
    }
    places.push_back({path->get<std::string>(), device->get<std::uint64_t>(), inode->get<std::uint64_t>()});
  }
  return places;
}

Result<void> RejoinPlaces::note(const std::vector<Place>& places) const {
  Json json = Json::array();
  for (const auto& place : places)
    json.push_back({{"path", place.path}, {"device", place.device}, {"inode", place.inode}});
  return write_durably(file_, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

// Whoever may write to the parent may put something else in its place at any time: so by its descriptor.
Result<RejoinPlaces::Place> RejoinPlaces::make_folder(const std::string& path) const {
  const auto owner = directory_.owner();
  if (!owner) return owner.error();
  const auto parent = open_folder(files::path(path).parent_path());
  const auto name = files::path(path).filename();
  if (!parent.is_open() || mkdirat(parent.number(), name.c_str(), kFolderMode) != 0)
    return Error{"cannot create " + path + ": " + std::strerror(errno)};
  const Descriptor folder(openat(parent.number(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat made {};
  std::error_code problem;
  if (!folder.is_open() || fstat(folder.number(), &made) != 0) problem = errno_now();
  if (!problem && made.st_uid != geteuid()) problem = std::make_error_code(std::errc::operation_not_permitted);
  if (!problem && geteuid() == 0 && fchown(folder.number(), owner->user, owner->group) != 0) problem = errno_now();
  if (!problem) return Place{path, made.st_dev, made.st_ino};
  unlinkat(parent.number(), name.c_str(), AT_REMOVEDIR);
  return Error{"cannot give " + path + " to " + directory_.os_user() + ": " + problem.message()};
}

// A folder that was made, but whose inode is not noted yet, is empty: whoever is killed there has put nothing into it.
Result<void> RejoinPlaces::make(const std::vector<std::string>& paths) const {
  auto places = noted();
  if (!places) return Error{places.error().message + ": look what it names, and remove this file"};
  const auto first = places->size();  // before it: what could not be removed
  for (const auto& path : paths) {
    auto real = without_links(path);
    if (!real) return real.error();
    places->push_back({std::move(*real), 0, 0});
  }
  if (auto written = note(*places); !written) return written;
  for (auto place = places->begin() + static_cast<std::ptrdiff_t>(first); place != places->end(); ++place) {
    const auto made = make_folder(place->path);
    if (!made) {  // neither it nor the rest is ours
      places->erase(place, places->end());
      if (auto written = note(*places); !written) return written.error();
      return made.error();
    }
    *place = *made;
  }
  return note(*places);
}

bool RejoinPlaces::is_new_directory(const std::string& name) const {
  const auto at = find_tag(name, kNewTag);
  return at != std::string::npos && name.substr(0, at) == files::path(directory_.path()).filename();
}

bool RejoinPlaces::has_name_of_place(const std::string& path) const {
  const files::path place(path);
  if (!place.is_absolute() || place.lexically_normal() != place) return false;
  const auto name = place.filename().string();
  const auto at = find_tag(name, kMovedTag);
  if (at != std::string::npos && at > 0) return true;
  std::error_code problem;
  return is_new_directory(name) && place.parent_path() == files::canonical(directory_.parent(), problem);
}

// In doubt it is.
bool RejoinPlaces::is_used(std::uint64_t device, std::uint64_t inode) const {
  auto used = links_of(directory_.path());
  used.push_back(directory_.path());
  return std::ranges::any_of(used, [&](const std::string& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) != 0) return errno != ENOENT && errno != ENOTDIR;
    return found.st_dev == device && found.st_ino == inode;
  });
}

RejoinPlaces::Stay RejoinPlaces::remove_place(const Place& place) const {
  const auto failed = [] { return Stay{std::strerror(errno), true}; };
  if (!has_name_of_place(place.path)) return {"no rebuild gives a folder this name"};
  const auto owner = directory_.owner();
  if (!owner) return {owner.error().message, true};
  const auto parent = open_folder(files::path(place.path).parent_path());
  const auto name = files::path(place.path).filename();
  struct stat found {};
  if (!parent.is_open() || fstatat(parent.number(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    if (errno == ENOTDIR || errno == ELOOP) return {"something else than a folder is on the way to it"};
    return failed();
  }
  if (place.inode == 0) {
    if (unlinkat(parent.number(), name.c_str(), AT_REMOVEDIR) == 0) return {};
    return {std::strerror(errno)};
  }
  if (!S_ISDIR(found.st_mode) || found.st_dev != place.device || found.st_ino != place.inode)
    return {"it is another now"};
  if (found.st_uid != owner->user) return {"it does not belong to the user of the server"};
  if (is_used(found.st_dev, found.st_ino)) return {directory_.path() + " uses it"};
  const auto emptied = directory_.run_tool({"find", place.path, "-xdev", "-mindepth", "1", "-delete"}, kRemovalLimit);
  if (!emptied) return {emptied.error().message, true};
  if (unlinkat(parent.number(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return failed();
}

std::vector<std::string> RejoinPlaces::remove() const {
  const auto places = noted();
  if (!places) return {places.error().message + ": the folders that it names are left as they are"};
  if (places->empty()) return {};
  std::vector<std::string> lines;
  std::vector<Place> left;
  for (const auto& place : *places) {
    const auto stays = remove_place(place);
    if (stays.why.empty()) continue;
    lines.push_back(place.path + ", which a rebuild had made, is left as it is: " + stays.why);
    if (stays.is_ours) left.push_back(place);
  }
  const auto written = left.empty() ? forget() : note(left);
  if (!written) lines.push_back(written.error().message);
  return lines;
}

std::vector<std::string> RejoinPlaces::remove_unnoted() const {
  std::error_code problem;
  const auto parent = files::canonical(directory_.parent(), problem);
  const auto places = noted();
  if (problem || !places) return {};
  std::vector<std::string> lines;
  for (const auto& entry : files::directory_iterator(parent, problem)) {
    const std::string path = entry.path();
    if (!is_new_directory(entry.path().filename()) || std::ranges::find(*places, path, &Place::path) != places->end())
      continue;
    struct stat found {};
    if (lstat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) continue;
    std::error_code doubt;
    const bool is_complete = files::exists(path + "/global/pg_control", doubt) || doubt;
    const auto stays = is_complete ? Stay{"it has a pg_control; remove it when nobody needs it"}
                                   : remove_place({path, found.st_dev, found.st_ino});
    if (!stays.why.empty())
      lines.push_back(path + ", as a rebuild names what it makes, is left as it is: " + stays.why);
  }
  return lines;
}

Result<void> RejoinPlaces::forget() const {
  return remove_durably(file_);
}

}  // namespace pgkeel
