// By which names the admin endpoint may be asked for in clear. A web page that an operator's browser shows can have the
// name of its own server lead to our address (DNS rebinding), and then read what we answer: the browser tells that name
// in the Host header. With TLS there is no such page, because the certificate is not its. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pgkeel {

// Right are addresses, "localhost", names without a dot (no page has one) and `names`, each with any port and in any
// case; and no Host header at all: no browser leaves it out.
bool is_right_host(std::string_view host, const std::vector<std::string>& names);

// What load balancers and Prometheus ask for, by whatever name they know us. No page is served there, and little is
// told.
bool is_for_machines(std::string_view path);

}  // namespace pgkeel
