// The name of the host that we run on. Any thread.
#pragma once

#include <string>

namespace pgkeel {

// Empty where it cannot be had.
std::string own_host_name();

}  // namespace pgkeel
