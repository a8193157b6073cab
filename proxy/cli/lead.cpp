#include "proxy/cli/lead.h"

#include <iostream>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proxy/admin/token_file.h"
#include "proxy/base/lenient_json.h"
#include "proxy/cli/admin_client.h"
#include "proxy/cli/exit_status.h"
#include "proxy/cli/load.h"
#include "proxy/cli/terminal.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr Duration kHandoverLimit = 30s;  // it is answered when another one leads

Result<std::string> post(const Config& config, const std::string& token, const LeadOptions& options, bool preview) {
  Json body = {{"preview", preview}};
  if (!options.to.empty()) body["to"] = options.to;
  auto answer = post_admin(config, "/api/v1/lead", body.dump(), token, kHandoverLimit);
  if (!answer) return answer.error();
  const Json json = Json::parse(*answer, nullptr, false);
  if (!json.is_object() || !json.contains("accepted")) return Error{"the answer is not what this pgkeel expects"};
  if (!lenient_json::flag_of(json, "accepted"))
    return Error{"lead is refused: " + lenient_json::text_of(json, "reason")};
  return answer;
}

}  // namespace

std::string lead_text(const std::string& answer_json) {
  const Json json = Json::parse(answer_json, nullptr, false);
  std::string text = "pgkeel " + lenient_json::text_of(json, "leader") + " leads";
  const Json& without = lenient_json::member(json, "without_leader_ms");
  if (without.is_number()) text += fmt::format("; for {:.0f} ms nobody did", without.get<double>());
  return text + "\n";
}

int run_lead(const LeadOptions& options) {
  const auto config = load_or_tell(options.config_path);
  if (!config) return kExitRefused;
  const auto token = read_token(config->admin.token_file);
  if (!token) return fail(token.error().message);
  if (!options.yes && is_terminal(STDIN_FILENO)) {
    const auto preview = post(*config, *token, options, true);
    if (!preview) return fail(preview.error().message);
    std::cout << "lead: " << lenient_json::text_of(Json::parse(*preview, nullptr, false), "consequences") << "\n";
    if (!is_told_to_go_on()) return fail("nothing was done");
  }
  const auto done = post(*config, *token, options, false);
  if (!done) return fail(done.error().message);
  std::cout << lead_text(*done);
  return kExitDone;
}

}  // namespace pgkeel
