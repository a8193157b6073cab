// Which client networks may use an access point. Pure; immutable once built.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/ip_address.h"
#include "proxy/base/result.h"

namespace pgkeel {

class AllowList {
 public:
  // Networks as in ClusterConfig::allow: "10.0.0.0/8", "::/0".
  static Result<AllowList> parse(const std::vector<std::string>& networks);

  [[nodiscard]] bool allows(const IpAddress& client) const;

 private:
  std::vector<IpNetwork> networks_;
};

}  // namespace pgkeel
