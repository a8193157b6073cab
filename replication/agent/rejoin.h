// One rejoin: makes the data directory of a stopped server that of a standby, by whatever that takes (see
// LocalServer::rejoin). Can be cut off at any point; the next one goes on from what it finds. Job threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "replication/agent/local_server.h"
#include "replication/agent/quarantine.h"
#include "replication/agent/rejoin_marker.h"
#include "replication/agent/rejoin_places.h"
#include "replication/agent/room.h"

namespace pgkeel {

class Rejoin {
 public:
  struct Node {
    std::string name;
    std::uint16_t port = 0;
    std::string quarantine_directory;
  };
  Rejoin(Node node, const DataDirectory& directory, const UpstreamServer& upstream,
         std::function<void(const std::string&)> progress, RejoinOptions options = {});

  Result<RejoinReport> run();                            // the server is stopped, and stays so
  [[nodiscard]] bool copied() const { return copied_; }  // pg_rewind was begun, or pg_basebackup got its first bytes

 private:
  // What the data directory needs, and why it needs more than a start.
  enum class Need { kStart, kRewind, kRebuild };
  struct Diagnosis {
    Need need = Need::kStart;
    Divergence divergence;
  };

  Result<RejoinReport> go_on(const RejoinProgress& progress, UpstreamAccess& upstream);
  Result<RejoinReport> make_standby(UpstreamAccess& upstream);
  [[nodiscard]] Diagnosis diagnose(const ControlData& control, const UpstreamServer& upstream) const;
  [[nodiscard]] std::string obstacle_to_rewind(const ControlData& control, const UpstreamAccess& upstream) const;
  Result<RejoinReport> rewind(const Divergence& divergence, const UpstreamAccess& upstream);
  Result<RejoinReport> rebuild(const std::optional<Divergence>& divergence, const UpstreamAccess& upstream);
  Result<RejoinReport, PlacingError> try_rebuild(const std::optional<Divergence>& divergence,
                                                 const UpstreamAccess& upstream);
  Result<void> export_rows(const Divergence& divergence);
  Result<void> write_rows_out(const std::string& folder);
  Result<void> end_export(const std::string& quarantine) const;
  [[nodiscard]] Result<void, PlacingError> check_room_beside(const UpstreamAccess& upstream) const;
  void look_for_parting(Diagnosis& diagnosis, const ControlData& control, const UpstreamAccess& upstream) const;
  [[nodiscard]] std::optional<Lsn> where_it_parted(const Divergence& divergence, const ControlData& control,
                                                   const UpstreamAccess& upstream) const;
  void tell_what_is_lost(const std::string& data_directory) const;
  Result<void> wait_for_slot(const std::string& slot, const UpstreamAccess& upstream) const;
  Result<void, PlacingError> make_new_directory(const std::string& path, const UpstreamAccess& upstream);
  Result<void, PlacingError> base_backup(const std::string& new_directory, const UpstreamAccess& upstream);
  void remove_places() const;
  [[nodiscard]] std::function<bool(std::string_view)> tell_percent(const std::string& what,
                                                                   std::optional<std::uint32_t>& percent) const;
  [[nodiscard]] Result<void> check_replaceable() const;
  Result<void> swap(const RejoinProgress& progress) const;
  void discard(const std::string& moved_aside);
  [[nodiscard]] std::string time_stamp() const;

  Node node_;
  const DataDirectory& directory_;
  const UpstreamServer& upstream_;
  std::function<void(const std::string&)> say_;
  RejoinOptions options_;
  RejoinMarker marker_;
  RejoinPlaces places_;
  Quarantine quarantine_;
  RejoinReport report_;
  bool copied_ = false;
  bool export_was_cut_off_ = false;  // it is gone on with, whatever room there is now
};

}  // namespace pgkeel
