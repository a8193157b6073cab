#include "replication/agent/rejoin_places.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "replication/agent/room.h"

namespace pgkeel {
namespace {

namespace files = std::filesystem;
using Json = nlohmann::json;

constexpr mode_t kFolderMode = 0700;
constexpr std::size_t kNoteBytesMax = 16U << 20;

std::error_code errno_now() {
  return {errno, std::generic_category()};
}

}  // namespace

RejoinPlaces::RejoinPlaces(const DataDirectory& directory)
    : directory_(directory), file_(directory.beside(".pgkeel-places")) {}

Result<std::vector<RejoinPlaces::Place>> RejoinPlaces::noted() const {
  std::vector<Place> places;
  if (access(file_.c_str(), F_OK) != 0 && errno == ENOENT) return places;
  const auto text = read_file(file_, kNoteBytesMax);
  if (!text) return text.error();
  const auto json = Json::parse(*text, nullptr, false);
  if (!json.is_array()) return Error{file_ + " is damaged"};
  for (const auto& row : json) {
    const auto path = row.is_object() ? row.find("path") : row.end();
    const auto inode = row.is_object() ? row.find("inode") : row.end();
    if (path == row.end() || !path->is_string() || inode == row.end() || !inode->is_number_unsigned())
      return Error{file_ + " is damaged"};
    places.push_back({path->get<std::string>(), inode->get<std::uint64_t>()});
  }
  return places;
}

Result<void> RejoinPlaces::note(const std::vector<Place>& places) const {
  Json json = Json::array();
  for (const auto& place : places) json.push_back({{"path", place.path}, {"inode", place.inode}});
  return write_durably(file_, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::uint64_t> RejoinPlaces::make_folder(const std::string& path) const {
  const auto owner = directory_.owner();
  if (!owner) return owner.error();
  std::error_code problem;
  files::create_directories(files::path(path).parent_path(), problem);  // where it fails the next call says why
  if (mkdir(path.c_str(), kFolderMode) != 0) return Error{"cannot create " + path + ": " + std::strerror(errno)};
  problem.clear();
  struct stat made {};
  if (geteuid() == 0 && lchown(path.c_str(), owner->user, owner->group) != 0) problem = errno_now();
  if (!problem && lstat(path.c_str(), &made) != 0) problem = errno_now();
  if (!problem) return std::uint64_t{made.st_ino};
  rmdir(path.c_str());
  return Error{"cannot give " + path + " to " + directory_.os_user() + ": " + problem.message()};
}

// A folder that was made, but whose inode is not noted yet, is empty: whoever is killed there has put nothing into it.
Result<void> RejoinPlaces::make(const std::vector<std::string>& paths) const {
  auto places = noted();
  if (!places) return places.error();
  const auto first = places->size();  // before it: what could not be removed
  for (const auto& path : paths) places->push_back({path, 0});
  if (auto written = note(*places); !written) return written;
  for (auto place = places->begin() + static_cast<std::ptrdiff_t>(first); place != places->end(); ++place) {
    const auto made = make_folder(place->path);
    if (!made) {  // neither it nor the rest is ours
      places->erase(place, places->end());
      if (auto written = note(*places); !written) return written.error();
      return made.error();
    }
    place->inode = *made;
  }
  return note(*places);
}

bool RejoinPlaces::is_used(const std::string& path) const {
  std::error_code problem;
  if (files::equivalent(path, directory_.path(), problem)) return true;
  return std::ranges::any_of(links_of(directory_.path()),
                             [&](const std::string& link) { return files::equivalent(path, link, problem); });
}

std::vector<std::string> RejoinPlaces::remove() const {
  const auto places = noted();
  if (!places) return {places.error().message + ": the folders that it names are left as they are"};
  if (places->empty()) return {};
  std::vector<std::string> lines;
  std::vector<Place> left;
  for (const auto& place : *places) {
    const auto stays = [&](const std::string& why) {
      lines.push_back(place.path + ", which a rebuild had made, is left as it is: " + why);
    };
    struct stat found {};
    if (lstat(place.path.c_str(), &found) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) continue;
      stays(std::strerror(errno));
      left.push_back(place);
    } else if (place.inode == 0) {
      if (rmdir(place.path.c_str()) != 0) stays(std::strerror(errno));
    } else if (!S_ISDIR(found.st_mode) || found.st_ino != place.inode) {
      stays("it is another now");
    } else if (is_used(place.path)) {
      stays(directory_.path() + " uses it");
    } else {
      std::error_code problem;
      files::remove_all(place.path, problem);
      if (!problem) continue;
      stays(problem.message());
      left.push_back(place);
    }
  }
  const auto written = left.empty() ? forget() : note(left);
  if (!written) lines.push_back(written.error().message);
  return lines;
}

Result<void> RejoinPlaces::forget() const {
  return remove_durably(file_);
}

}  // namespace pgkeel
