// What systemd is told by a service, and keeps for it (sd_notify(3), sd_listen_fds(3)): datagrams to the socket that
// NOTIFY_SOCKET names. Without a service manager all of this does nothing. Control thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/io/descriptor.h"
#include "proxy/io/socket.h"

namespace pgkeel {

class ServiceManager {
 public:
  // Reads the environment; programs that are started later get nothing of it.
  ServiceManager();

  // Lines of VARIABLE=value. False: there is no manager, or it was not reached.
  bool tell(const std::string& state) const;

  // FileDescriptorStoreMax=: the socket stays open when this process ends, and the next one of the service finds it.
  bool keep_socket(const std::string& name, int descriptor) const;
  void forget_socket(const std::string& name) const;

  [[nodiscard]] bool is_there() const { return !socket_path_.empty(); }

 private:
  bool send(const std::string& state, int descriptor) const;

  std::string socket_path_;  // '@' in front: an abstract one
};

// Sockets that were passed to this process when it was started, with their names (LISTEN_FDS, LISTEN_FDNAMES). Once:
// the variables are removed. Before the first thread.
std::vector<NamedSocket> sockets_from_service_manager();

}  // namespace pgkeel
