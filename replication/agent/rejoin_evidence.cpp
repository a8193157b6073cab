// What a rejoin does so that nothing is thrown away unnamed (rule 4): the rest of Rejoin is in rejoin.cpp.
#include "replication/agent/lost_export.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/quarantine_entry.h"
#include "replication/agent/rejoin.h"

namespace pgkeel {

// In place of a copy. The directory is opened itself: what the rewind makes of it is all the same.
Result<void> Rejoin::export_rows(const Divergence& divergence) {
  auto folder = quarantine_.begin_export(divergence, time_stamp());
  if (!folder) return folder.error();
  const auto entry = read_quarantine_entry(*folder);
  if (!entry) return Error{"the report in " + *folder + " cannot be read"};
  const auto& server = directory_.settings();
  if (auto made = make_lost_report(*entry, server, directory_.path()); !made) return made.error();
  const auto exported = export_lost_rows(*entry, server, directory_.path(), *folder + "/export", OpenDiverged::kInPlace,
                                         say_, node_.port);
  if (!exported) return exported.error();
  // The directory has recovered by now, so that its catalog knows all names; and its log has grown by that.
  if (auto made = make_lost_report(*entry, server, directory_.path()); !made) return made.error();
  const auto control = directory_.control_data();
  if (!control) return control.error();
  const auto end = directory_.end_of_wal(*control);
  if (!end) return end.error();
  if (auto noted = quarantine_.note_wal_end(*folder, end->lsn); !noted) return noted;
  report_.quarantine = *folder;
  return {};
}

Result<void> Rejoin::check_room_beside() const {
  return check_room_in(directory_.parent(), disk_bytes_of(directory_.path()),
                       "for a new data directory beside the old");
}

// The report is made again later where it fails here (proxy/app/quarantine_keeper): it must not keep the node away.
void Rejoin::tell_what_is_lost(const std::string& data_directory) const {
  const auto entry = read_quarantine_entry(report_.quarantine);
  if (!entry || entry->examined) return;
  say_("reading what it alone had committed");
  const auto made = make_lost_report(*entry, directory_.settings(), data_directory, "", directory_.break_off());
  if (!made && directory_.break_off().stop_requested()) return;
  if (!made) return say_("the report on it cannot be made yet: " + made.error().message);
  say_("the cluster lacks " + lost_text(*made));
}

}  // namespace pgkeel
