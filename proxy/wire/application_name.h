// Lets a server see from where a client of ours comes: in application_name, because the address that it sees is ours.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace pgkeel {

// What PostgreSQL keeps of application_name (NAMEDATALEN - 1).
constexpr std::size_t kApplicationNameBytesMax = 63;

// The StartupMessage with "NAME - ADDRESS" as its application_name, the name cut so that both fit; ADDRESS alone where
// the client names none. Where it ends so already, it stays: a process that takes over looks at it again. As it is: of
// a replication connection, whose name means something to its primary; where the name is set among the options of a
// command line; and where the packet would become longer than a server takes.
std::string with_client_address(std::string startup_packet, std::string_view address);

}  // namespace pgkeel
