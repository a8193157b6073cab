// The text of openapi.json, which describes the admin endpoint.
#pragma once

#include <string>

namespace pgkeel {

const std::string& openapi_json();

}  // namespace pgkeel
