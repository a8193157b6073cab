// Where the primary_conninfo of a standby leads that was cut off: a host that is none, a folder for a socket that
// nobody makes.
#pragma once

namespace pgkeel {

constexpr const char* kNowhere = "/pgkeel/cut-off";

}  // namespace pgkeel
