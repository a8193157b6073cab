// Joins the SCRAM exchange of a client with one of its server, where it cannot be the same one: the client binds it to
// the certificate that it sees, ours, and the server to its own. The client's first words, nonce included, are the
// first words to the server too, so that salt, iterations, and the answer to an unknown user are the server's; then the
// client's proof is checked with what the server stores, which reveals the key to prove the same to the server with.
// Who proves nothing is let prove nothing to the server, and gets the server's own answer. Which exchange is joined,
// and which passes through: proxy/README.md. No I/O; loop's thread only; secrets are wiped when it goes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/bytes.h"
#include "proxy/base/result.h"
#include "proxy/io/scram_keys.h"
#include "proxy/wire/error_response.h"

namespace pgkeel {

// What the server stores of a user's password.
struct VerifierAnswer {
  bool readable = false;                                    // false: `problem` says why not
  std::shared_ptr<const ScramVerifier> verifier = nullptr;  // null: none of SCRAM, or there is no such user
  std::string problem = {};
};

class ScramBridge {
 public:
  // A link: whether it is encrypted, and to what a channel over it is bound (empty: to nothing).
  struct Channel {
    bool encrypted = false;
    std::string end_point_hash = {};
  };
  ScramBridge(Channel client, Channel server) : client_(std::move(client)), server_(std::move(server)) {}

  struct Refusal {
    SqlState sqlstate = SqlState::kProtocolViolation;
    std::string message;
  };
  // What is to be done now.
  struct Step {
    enum class Kind {
      kPassOn,          // this, and all that follows, passes between client and server as it is
      kAskForVerifier,  // verifier_is_here() goes on
      kTellClient,      // `text`, a message
      kTellServer,      // `text`, a message
      kRefuse,          // the login ends with `refusal`
    };
    Kind kind = Kind::kPassOn;
    std::string text = {};
    Refusal refusal = {};
  };

  // ---- what is heard; messages are whole, with their header ----
  // `verifiers_can_be_read`: lately they could, and the one that is needed is asked for when the client has spoken.
  Step server_offers(Bytes message, bool verifiers_can_be_read = false);
  Step verifier_is_here(VerifierAnswer answer);
  Step client_says(Bytes message);
  Step server_challenges(Bytes message);
  // With kTellClient and no text, there is nothing to tell.
  Step server_accepts(Bytes message);

  // The client has proven that it knows its password: whatever happens to the server's link, another login needs
  // nothing more of it. begin_again() on a new link; server_offers() then answers the server.
  [[nodiscard]] bool client_is_proven() const { return client_key_.has_value(); }
  void begin_again(Channel server);
  // For a server that accepts without a challenge: what the client still waits for; empty: nothing.
  std::string take_owed_to_client();

 private:
  enum class Stage { kOffering, kAwaitingClientFirst, kServerFirst, kClientFinal, kServerFinal };

  [[nodiscard]] Step offer();
  Step take_client_first(Bytes message);
  Step begin_with_server();
  Step take_client_final(Bytes message);
  Step prove_to_server(const ScramKey& key);

  Channel client_;
  Channel server_;
  Stage stage_ = Stage::kOffering;
  bool server_offers_plus_ = false;
  bool plus_offered_ = false;  // to the client
  std::optional<VerifierAnswer> verifier_;
  // Of the client's exchange.
  std::string gs2_header_;
  std::string client_bare_;
  std::string client_nonce_;
  std::string client_server_first_;
  std::string client_auth_message_;
  bool client_told_ = false;  // that it is accepted
  std::optional<ScramKey> client_key_;
  // Of the server's.
  std::string server_bare_;
  std::string server_nonce_;  // what ours must be the beginning of
  std::string server_binding_;
  std::string server_first_;
  std::string server_auth_message_;
};

}  // namespace pgkeel
