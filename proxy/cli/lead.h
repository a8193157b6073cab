// `pgkeel lead`: of several pgkeels, the one that leads hands over to another.
#pragma once

#include <string>

namespace pgkeel {

struct LeadOptions {
  std::string config_path;
  std::string to;    // empty: whichever can
  bool yes = false;  // no question on a terminal
};

int run_lead(const LeadOptions& options);

// What is printed when it is done: "pgkeel two leads; for 12 ms nobody did". Pure; `answer_json` as the admin
// endpoint's.
std::string lead_text(const std::string& answer_json);

}  // namespace pgkeel
