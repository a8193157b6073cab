// What a rejoin does so that nothing is thrown away unnamed (rule 4): the rest of Rejoin is in rejoin.cpp.
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/io/durable_file.h"
#include "replication/agent/lost_export.h"
#include "replication/agent/lost_report.h"
#include "replication/agent/quarantine_entry.h"
#include "replication/agent/rejoin.h"

namespace pgkeel {

namespace {

constexpr std::size_t kProblemsToldMax = 3;

// Whether the export in this folder has all that the report tells of: the log may have grown since it was made.
bool has_all(const QuarantineEntry& entry) {
  const auto text = read_file(entry.folder + "/export/summary.json");
  const auto summary = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
  return summary.is_object() && summary.value("transactions", nlohmann::json()) == entry.transactions;
}

std::string first_of(const std::vector<std::string>& problems) {
  std::string text;
  for (std::size_t index = 0; index < problems.size() && index < kProblemsToldMax; ++index) {
    text += (text.empty() ? "" : "; ") + problems[index];
  }
  if (problems.size() > kProblemsToldMax)
    text += "; and " + std::to_string(problems.size() - kProblemsToldMax) + " more";
  return text;
}

}  // namespace

// In place of a copy. The directory is opened itself, and rows of it are made to look as if nobody had deleted them, so
// that the marker says meanwhile that it is not to be started. Where not all can be written out it stays, as it was:
// what a rewind would destroy then is told by nothing.
Result<void> Rejoin::export_rows(const Divergence& divergence) {
  auto folder = quarantine_.begin_export(divergence, time_stamp());
  if (!folder) return folder.error();
  if (auto saved = marker_.save_configuration(); !saved) return saved;
  if (auto marked = marker_.write({RejoinStep::kExport, *folder, {}, {}}); !marked) return marked;
  if (auto written = write_rows_out(*folder); !written) {
    if (auto ended = end_export(*folder); !ended) return ended;
    return Error{"the rows that it alone has cannot all be written out, so that nothing is rewound: " +
                 written.error().message + "; make room for a copy, or mend that, and rejoin again"};
  }
  const auto control = directory_.control_data();
  if (!control) return control.error();
  const auto end = directory_.end_of_wal(*control);
  if (!end) return end.error();
  if (auto noted = quarantine_.note_wal_end(*folder, end->lsn); !noted) return noted;
  report_.quarantine = *folder;
  return {};
}

Result<void> Rejoin::write_rows_out(const std::string& folder) {
  auto entry = read_quarantine_entry(folder);
  if (!entry) return Error{"the report in " + folder + " cannot be read"};
  const auto& server = directory_.settings();
  const auto told = make_lost_report(*entry, server, directory_.path(), "", directory_.break_off());
  if (!told) return told.error();
  if (entry->has_export && has_all(*told)) return {};
  std::error_code problem;
  if (entry->has_export) std::filesystem::remove_all(folder + "/export", problem);
  const auto exported =
      export_lost_rows(*entry, server, directory_.path(), folder + "/export", OpenDiverged::kInPlace, say_, node_.port);
  if (!exported) return exported.error();
  if (!exported->complete()) return Error{first_of(exported->left_out) + " (all of it: " + folder + "/export)"};
  // The directory has recovered by now, so that its catalog knows all names; and its log has grown by that.
  if (auto made = make_lost_report(*entry, server, directory_.path()); !made) return made.error();
  return {};
}

// The directory is again what it was before its pages were changed.
Result<void> Rejoin::end_export(const std::string& quarantine) const {
  if (auto put = put_back_revived_pages(directory_.settings(), quarantine + "/export"); !put) return put;
  return marker_.remove();
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
