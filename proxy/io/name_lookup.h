// Looks up a host name once, without blocking the loop. Loop's thread only. Destroying it drops the answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"

namespace pgkeel {

class Loop;

class NameLookup {
 public:
  // Numeric addresses in the system's order of preference, never an empty list. `done` is called later.
  using Done = std::function<void(Result<std::vector<std::string>>)>;

  NameLookup(Loop& loop, const std::string& host, Done done);
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

 private:
  struct Inner;
  Inner* inner_;  // frees itself when the lookup has ended: a running one can't be taken back
};

}  // namespace pgkeel
