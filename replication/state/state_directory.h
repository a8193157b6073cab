// The folder that holds what pgkeel must not forget when it runs alone: one file per cluster, the event log, and a
// lock, so that no second pgkeel works with the same state. Control thread only.
#pragma once

#include <memory>
#include <string>

#include "proxy/base/result.h"
#include "proxy/base/time.h"
#include "proxy/io/descriptor.h"
#include "replication/model/cluster_memory.h"

namespace pgkeel {

class StateDirectory {
 public:
  // Creates the folder (mode 0700) where it is missing, and locks it for as long as this object lives. `patience`: how
  // long to wait, in this call, for a process that ends to leave the lock.
  static Result<StateDirectory> open(std::string path, Duration patience = Duration::zero());
  // One that another process has locked, and gives to us with its lock: `lock` is the descriptor that holds it.
  static Result<StateDirectory> take_over(std::string path, Descriptor lock);
  ~StateDirectory();
  StateDirectory(StateDirectory&& other) noexcept;
  StateDirectory& operator=(StateDirectory&&) = delete;

  // The memory of the cluster; an empty one where there is no file yet. A file that cannot be trusted is an error.
  [[nodiscard]] Result<ClusterMemory> load(const std::string& cluster) const;

  // Write, fsync, rename, fsync of the folder: durable when it returns. A crash leaves the old state or the new one.
  Result<void> store(const std::string& cluster, const ClusterMemory& memory) const;

  // The lock is held as long as any copy of this is open, in whatever process.
  [[nodiscard]] int lock_descriptor() const { return lock_.number(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  static Result<StateDirectory> with_lock(std::string path, Descriptor lock, Duration patience);
  StateDirectory(std::string path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  Descriptor lock_;
};

}  // namespace pgkeel
