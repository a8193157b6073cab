// Exit statuses of every verb (design 3.1).
#pragma once

namespace pgkeel {

constexpr int kExitDone = 0;
constexpr int kExitRefused = 1;  // refused or failed: one line on stderr says why and what to do
constexpr int kExitUsage = 2;

}  // namespace pgkeel
