// Whether some process of this host (of our network namespace) listens at an address: a stopped process does too,
// although it answers nobody. The kernel is asked for its listeners (sock_diag(7)); where it does not tell them, they
// are looked for in /proc/net/tcp and tcp6 (proc_pid_net(5)), which takes long on a host with many connections. Any
// thread.
#pragma once

#include <string_view>

#include "proxy/base/address.h"

namespace pgkeel {

// Of a host that is a name, only listeners on all addresses are seen: what it stands for is not looked up.
bool somebody_listens_at(const HostPort& address);

// `table`: the text of one of the files. Pure.
bool listens_in_table(std::string_view table, const HostPort& address);

}  // namespace pgkeel
