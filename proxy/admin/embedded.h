// Files of this folder that the binary itself serves: the description of the API, and the web console. Any thread.
#pragma once

#include <string>

namespace pgkeel {

const std::string& openapi_json();
const std::string& console_html();
const std::string& console_css();
const std::string& console_js();

}  // namespace pgkeel
