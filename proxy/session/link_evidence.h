// What a client link learnt of a server. Plain data: evidence for the failure detector, never a verdict.
#pragma once

#include <cstdint>
#include <string>

namespace pgkeel {

struct LinkEvidence {
  enum class Kind {
    kRefused,     // connect(2) said ECONNREFUSED (or ENOENT of a Unix socket)
    kBroken,      // EOF, reset or time-out on an established link that neither side's protocol announced
    kStarting,    // the server answered a login with 57P03
    kNoAnswer,    // the connection was taken, and failure_timeout later the login had no answer
    kNotSecure,   // the server takes no TLS as `server_tls` wants it
    kOwnTrouble,  // EMFILE, ENOBUFS, ENETUNREACH, …: says nothing of the node
  };
  std::string cluster;
  std::string node;
  std::uint64_t epoch = 0;
  Kind kind = Kind::kBroken;
  std::string detail;
};

}  // namespace pgkeel
