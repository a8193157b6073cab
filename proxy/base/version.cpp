#include "proxy/base/version.h"

namespace pgkeel {

std::string_view pgkeel_version() {
  return PGKEEL_VERSION;
}

}  // namespace pgkeel
