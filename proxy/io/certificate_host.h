// Which hosts a certificate stands for. Any thread.
#pragma once

#include <string>

namespace pgkeel {

// Whether the first certificate of the text bears this name or address, as a client that verifies it wants.
bool certificate_bears_host(const std::string& certificate_pem, const std::string& host);

}  // namespace pgkeel
