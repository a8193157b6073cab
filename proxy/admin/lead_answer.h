// What became of an order to hand the leadership of several pgkeels over, or would, and its JSON (openapi.json). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/base/time.h"

namespace pgkeel {

struct LeadAnswer {
  bool accepted = false;                   // and, where it is no preview, carried out
  std::string reason;                      // why not
  std::string leader;                      // who leads then
  std::string consequences;                // what it does, or would do
  std::optional<Duration> without_leader;  // how long nobody led
};

struct LeadRequest {
  std::string to;  // empty: whichever can
  bool preview = false;
};

// Of the body of POST /api/v1/lead.
Result<LeadRequest> parse_lead_request(std::string_view body);

std::string lead_answer_json(const LeadAnswer& answer);

}  // namespace pgkeel
