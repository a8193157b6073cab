// `pgkeel status` and `pgkeel events`.
#pragma once

#include <cstdint>
#include <string>

namespace pgkeel {

struct StatusOptions {
  std::string config_path;
  bool json = false;
  bool watch = false;
};

int run_status(const StatusOptions& options);

struct EventsOptions {
  std::string config_path;
  bool json = false;
  bool follow = false;
};

int run_events(const EventsOptions& options);

struct DecisionsOptions {
  std::string config_path;
  std::string cluster;
  bool json = false;
};

int run_decisions(const DecisionsOptions& options);

}  // namespace pgkeel
