// When certificates on the disk are looked at.
#pragma once

#include "proxy/base/time.h"

namespace pgkeel {

constexpr Duration kCertificateLookEvery = std::chrono::seconds(10);
// A certificate and its key are two files: a change of one is often followed by that of the other.
constexpr Duration kCertificateSettle = std::chrono::milliseconds(500);

}  // namespace pgkeel
