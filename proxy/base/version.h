// The version of this pgkeel, as CMakeLists.txt has it: "0.1.0". Any thread.
#pragma once

#include <string_view>

namespace pgkeel {

std::string_view pgkeel_version();

}  // namespace pgkeel
