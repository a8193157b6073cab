#include "replication/agent/saved_pages.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "proxy/io/descriptor.h"

namespace pgkeel {
namespace {

constexpr const char* kUnfinished = ".unfinished";
constexpr std::uint64_t kPageBytesMax = 32768;
constexpr uid_t kNobody = static_cast<uid_t>(-1);  // is refused: only asks who we are

// Files are opened with the rights of `owner` by this thread as long as it lives: a link that the server's user put
// into its directory leads us to nothing that it could not change itself.
class RightsOf {
 public:
  explicit RightsOf(const FileOwner& owner) {
    if (geteuid() != 0) return;
    group_ = static_cast<gid_t>(setfsgid(owner.group));
    user_ = static_cast<uid_t>(setfsuid(owner.user));
    taken_ = true;
    holds_ = static_cast<uid_t>(setfsuid(kNobody)) == owner.user;
  }
  ~RightsOf() {
    if (!taken_) return;
    setfsuid(user_);
    setfsgid(group_);
  }
  RightsOf(const RightsOf&) = delete;
  RightsOf& operator=(const RightsOf&) = delete;

  [[nodiscard]] bool hold() const { return holds_; }

 private:
  uid_t user_ = 0;
  gid_t group_ = 0;
  bool taken_ = false;
  bool holds_ = true;
};

// One file after the other; each is on the disk when the next one begins.
class PageWriter {
 public:
  Result<void> write(const std::string& path, std::uint64_t position, const std::vector<char>& bytes) {
    if (path != path_) {
      if (auto finished = finish(); !finished) return finished;
      file_ = Descriptor(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
      if (!file_.is_open()) return Error{"cannot open " + path + ": " + std::strerror(errno)};
      path_ = path;
    }
    const auto written = pwrite(file_.number(), bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written == static_cast<ssize_t>(bytes.size())) return {};
    return Error{"cannot put back a page of " + path + ": " + std::strerror(written < 0 ? errno : ENOSPC)};
  }

  Result<void> finish() {
    if (!file_.is_open()) return {};
    const bool synced = fsync(file_.number()) == 0;
    const int problem = errno;
    file_.close();
    if (synced) return {};
    return Error{"cannot bring " + path_ + " to the disk: " + std::strerror(problem)};
  }

 private:
  std::string path_;
  Descriptor file_;
};

struct SavedPlace {
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
  std::string path;  // below the data directory
};

// "8192 8192 base/5/16384"
bool parse_place(const std::string& line, SavedPlace& place) {
  const char* end = line.data() + line.size();
  const auto position = std::from_chars(line.data(), end, place.position);
  if (position.ec != std::errc{} || position.ptr == end || *position.ptr != ' ') return false;
  const auto bytes = std::from_chars(position.ptr + 1, end, place.bytes);
  if (bytes.ec != std::errc{} || bytes.ptr == end || *bytes.ptr != ' ') return false;
  place.path.assign(bytes.ptr + 1, end);
  return place.bytes > 0 && place.bytes <= kPageBytesMax && place.path.find("..") == std::string::npos;
}

}  // namespace

SavedPages::SavedPages(std::string file, std::string data_directory)
    : file_(std::move(file)),
      data_directory_(std::move(data_directory)),
      stream_(file_ + kUnfinished, std::ios::binary | std::ios::trunc) {}

Result<void> SavedPages::add(const std::string& path, std::uint64_t position, std::span<const std::byte> page) {
  if (!path.starts_with(data_directory_ + "/")) return Error{path + " is not below " + data_directory_};
  stream_ << position << ' ' << page.size() << ' ' << path.substr(data_directory_.size() + 1) << '\n';
  stream_.write(reinterpret_cast<const char*>(page.data()), static_cast<std::streamsize>(page.size()));
  if (stream_) return {};
  return Error{"cannot write " + file_ + ": " + std::strerror(errno)};
}

Result<void> SavedPages::finish() {
  stream_.close();
  if (!stream_) return Error{"cannot write " + file_ + ": " + std::strerror(errno)};
  if (auto synced = sync_file_system(file_ + kUnfinished); !synced) return synced;
  return rename_durably(file_ + kUnfinished, file_);
}

Result<void> put_back_pages(const std::string& file, const std::string& data_directory, const FileOwner& owner) {
  if (access(file.c_str(), F_OK) != 0 && errno == ENOENT) return {};
  std::ifstream saved(file, std::ios::binary);
  if (!saved) return Error{"cannot read " + file + ": " + std::strerror(errno)};
  {
    const RightsOf rights(owner);
    if (!rights.hold()) return Error{"cannot take the rights of the owner of " + data_directory};
    PageWriter files;
    SavedPlace place;
    std::vector<char> page;
    for (std::string line; std::getline(saved, line);) {
      if (!parse_place(line, place)) return Error{file + " is damaged"};
      page.resize(place.bytes);
      if (!saved.read(page.data(), static_cast<std::streamsize>(page.size()))) return Error{file + " is damaged"};
      if (auto put = files.write(data_directory + "/" + place.path, place.position, page); !put) return put;
    }
    if (auto synced = files.finish(); !synced) return synced;
  }
  return remove_durably(file);
}

}  // namespace pgkeel
