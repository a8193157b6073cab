// Asks a server for TLS on a link that has just connected, and shakes hands: what libpq does with sslmode=require and
// higher. Loop's thread only.
#pragma once

#include <memory>
#include <string>

#include "proxy/io/link.h"
#include "proxy/io/tls_context.h"

namespace pgkeel {

class TlsOpening {
 public:
  // `host`: as it is configured.
  TlsOpening(std::shared_ptr<const TlsContext> context, std::string host)
      : context_(std::move(context)), host_(std::move(host)) {}

  enum class Progress {
    kUnderWay,
    kDone,
    kRefused,  // the server answered, and there will be no TLS as it is wanted
    kBroken,   // the connection ended, or the server could not take it
  };
  // At once, and whenever the link is ready, until it is no longer under way.
  Progress go_on(Link& link);

  // Why it was refused or broke: "does not take TLS connections".
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  enum class Stage { kAsking, kAwaitingAnswer, kShakingHands };

  Progress end(Progress progress, std::string problem);
  Progress read_answer(Link& link);
  Progress shake_hands(Link& link);

  std::shared_ptr<const TlsContext> context_;
  std::string host_;
  Stage stage_ = Stage::kAsking;
  std::string problem_;
};

}  // namespace pgkeel
