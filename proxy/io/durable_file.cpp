#include "proxy/io/durable_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace pgkeel {
namespace {

Error failure(const std::string& what, const std::string& path) {
  return Error{"cannot " + what + " " + path + ": " + std::strerror(errno)};
}

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

Result<void> write_and_sync(int descriptor, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const auto count = write(descriptor, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("write", path);
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  if (fsync(descriptor) != 0) return failure("fsync", path);
  return {};
}

}  // namespace

Result<void> write_durably(const std::string& path, std::string_view content, mode_t mode,
                           std::optional<FileOwner> owner) {
  const std::string temporary = path + ".pgkeel-new";
  unlink(temporary.c_str());  // of a run that was cut off
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (descriptor < 0) return failure("create", temporary);
  Result<void> result = write_and_sync(descriptor, content, temporary);
  if (result && owner && fchown(descriptor, owner->user, owner->group) != 0) result = failure("give away", temporary);
  if (result && fchmod(descriptor, mode) != 0) result = failure("set the mode of", temporary);
  if (close(descriptor) != 0 && result) result = failure("close", temporary);
  if (result) result = rename_durably(temporary, path);
  if (!result) unlink(temporary.c_str());
  return result;
}

Result<void> write_new(const std::string& path, std::string_view content, mode_t mode) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (descriptor < 0) return failure("create", path);
  Result<void> result = write_and_sync(descriptor, content, path);
  if (result && fchmod(descriptor, mode) != 0) result = failure("set the mode of", path);
  if (close(descriptor) != 0 && result) result = failure("close", path);
  if (result) return sync_folder(folder_of(path));
  unlink(path.c_str());
  return result;
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  // A FIFO in its place reads as empty, instead of waiting for whoever writes into it.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return failure("open", path);
  std::string content;
  char buffer[16384];
  ssize_t count = 0;
  while ((count = read(descriptor, buffer, sizeof buffer)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    content.append(buffer, static_cast<std::size_t>(count));
    if (content.size() > bytes_max) break;
  }
  const auto problem = count < 0 ? failure("read", path) : Error{};
  close(descriptor);
  if (count < 0) return problem;
  if (content.size() > bytes_max) return Error{path + " is longer than " + std::to_string(bytes_max) + " bytes"};
  return content;
}

Result<void> rename_durably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return failure("rename " + from + " to", to);
  const auto target = folder_of(to);
  if (auto synced = sync_folder(target); !synced) return synced;
  return folder_of(from) == target ? Result<void>() : sync_folder(folder_of(from));
}

Result<void> remove_durably(const std::string& path) {
  if (unlink(path.c_str()) != 0) return errno == ENOENT ? Result<void>() : Result<void>(failure("remove", path));
  return sync_folder(folder_of(path));
}

Result<void> sync_folder(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return failure("open", path);
  // Some file systems know no fsync of a folder and say so.
  const bool synced = fsync(descriptor) == 0 || errno == EINVAL;
  const auto problem = synced ? Error{} : failure("fsync", path);
  close(descriptor);
  return synced ? Result<void>() : Result<void>(problem);
}

Result<void> sync_file_system(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return failure("open", path);
  const bool synced = syncfs(descriptor) == 0;
  const auto problem = synced ? Error{} : failure("sync the file system of", path);
  close(descriptor);
  return synced ? Result<void>() : Result<void>(problem);
}

}  // namespace pgkeel
