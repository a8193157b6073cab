#include "replication/agent/rejoin.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <unistd.h>
#include <utility>
#include <vector>

#include "proxy/io/clock.h"
#include "proxy/io/mount_point.h"
#include "replication/agent/quarantine_bound.h"
#include "replication/agent/rewind_call.h"
#include "replication/agent/standby_files.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr Duration kRewindLimit = 6h;
// pg_rewind says nothing while it lets the server recover, reads its log, or brings everything to the disk.
constexpr int kRewindFactor = 30;

}  // namespace

Rejoin::Rejoin(Node node, const DataDirectory& directory, const UpstreamServer& upstream,
               std::function<void(const std::string&)> progress, RejoinOptions options)
    : node_(std::move(node)),
      directory_(directory),
      upstream_(upstream),
      say_(std::move(progress)),
      options_(options),
      marker_(directory),
      places_(directory),
      quarantine_(node_.quarantine_directory, directory) {}

Result<RejoinReport> Rejoin::run() {
  auto upstream = UpstreamAccess::open(directory_, upstream_);
  if (!upstream) return upstream.error();
  const auto progress = marker_.exists() ? marker_.read() : Result<RejoinProgress>(Error{});
  const bool new_one_is_complete = progress && progress->step == RejoinStep::kSwap;
  if (!new_one_is_complete) remove_places();
  // A marker that cannot be read may speak of one of them.
  if (!new_one_is_complete && (progress || !marker_.exists())) {
    for (const auto& line : places_.remove_unnoted()) say_(line);
  }
  quarantine_.remove_incomplete(node_.name);
  if (!marker_.exists()) return make_standby(*upstream);
  // A marker that can't be read says at least that the directory is not to be used.
  return go_on(progress ? *progress : RejoinProgress{RejoinStep::kBasebackup, {}, {}, {}}, *upstream);
}

Result<RejoinReport> Rejoin::go_on(const RejoinProgress& progress, UpstreamAccess& upstream) {
  if (progress.step == RejoinStep::kExport) {
    say_("an earlier rejoin was cut off while it wrote out the rows that this node alone has");
    if (auto ended = end_export(progress.quarantine); !ended) return ended.error();
    export_was_cut_off_ = true;
    return make_standby(upstream);
  }
  report_.quarantine = progress.quarantine;
  if (progress.step != RejoinStep::kSwap) {
    options_.discard_old_data = false;  // what it held can't be told any more
    say_("an earlier rejoin was cut off: the data directory is half changed, and is rebuilt");
    if (auto checked = upstream.check(""); !checked) return checked.error();
    return rebuild(std::nullopt, upstream);
  }
  say_("an earlier rejoin was cut off when its new data directory was ready");
  if (auto forgotten = places_.forget(); !forgotten) return forgotten.error();
  if (auto swapped = swap(progress); !swapped) return swapped.error();
  report_.method = "basebackup";
  report_.moved_aside = progress.moved_aside;
  return make_standby(upstream);  // the cluster may have gone on since
}

Result<RejoinReport> Rejoin::make_standby(UpstreamAccess& upstream) {
  if (!directory_.exists()) {
    if (!directory_.is_empty_or_absent()) {
      return Error{directory_.path() + " is not empty, and no data directory of PostgreSQL; nothing was touched"};
    }
    if (auto checked = upstream.check(""); !checked) return checked.error();
    say_("there is no data directory yet");
    return rebuild(std::nullopt, upstream);
  }
  const auto control = directory_.control_data();
  if (auto checked = upstream.check(control ? control->system_identifier : ""); !checked) return checked.error();
  if (!control) {
    Divergence divergence;
    divergence.node = node_.name;
    divergence.upstream = upstream_.node;
    divergence.upstream_timeline = upstream_.timeline;
    divergence.reason = control.error().message;
    say_("it cannot be used any more: " + divergence.reason);
    return rebuild(divergence, upstream);
  }
  auto diagnosis = diagnose(*control, upstream.server());
  look_for_parting(diagnosis, *control, upstream);
  if (diagnosis.need == Need::kStart && options_.rebuild) {
    say_("it is rebuilt, as ordered");
    return rebuild(std::nullopt, upstream);
  }
  if (diagnosis.need == Need::kStart) {
    const auto& wal_end = diagnosis.divergence.wal_end;
    if (wal_end && !upstream.has_wal_from(diagnosis.divergence.timeline, *wal_end, control->wal_segment_bytes)) {
      say_("it is rebuilt: " + upstream_.node + " no longer has the WAL from " + format_lsn(*wal_end) + " on");
      return rebuild(std::nullopt, upstream);
    }
    if (auto written = write_standby_files(directory_, directory_.path(), upstream, node_.name, std::nullopt);
        !written) {
      return written.error();
    }
    if (report_.method.empty()) report_.method = "start";
    return report_;
  }
  say_("it may hold what the cluster lacks: " + diagnosis.divergence.reason);
  if (diagnosis.need == Need::kRebuild || options_.rebuild) return rebuild(diagnosis.divergence, upstream);
  if (const auto obstacle = obstacle_to_rewind(*control, upstream); !obstacle.empty()) {
    if (directory_.break_off().stop_requested()) return Error{obstacle};
    say_("it cannot be rewound, so it is rebuilt: " + obstacle);
    return rebuild(diagnosis.divergence, upstream);
  }
  return rewind(diagnosis.divergence, upstream);
}

Rejoin::Diagnosis Rejoin::diagnose(const ControlData& control, const UpstreamServer& upstream) const {
  Diagnosis diagnosis;
  auto& divergence = diagnosis.divergence;
  divergence.node = node_.name;
  divergence.system_identifier = control.system_identifier;
  divergence.timeline = control.timeline();
  divergence.upstream = upstream.node;
  divergence.upstream_timeline = upstream.timeline;
  const auto differs = [&](Need need, std::string reason) {
    divergence.reason = std::move(reason);
    // pg_rewind takes equal timeline numbers for equal histories, and does nothing.
    diagnosis.need = divergence.timeline == upstream.timeline ? Need::kRebuild : need;
    return diagnosis;
  };

  const auto end = directory_.end_of_wal(control);
  if (!end) return differs(Need::kRewind, "where its WAL ends is not known: " + end.error().message);
  divergence.timeline = end->timeline;
  divergence.wal_end = end->lsn;
  const auto history = directory_.history_of(end->timeline);
  if (!history) return differs(Need::kRewind, "its timeline history cannot be read: " + history.error().message);

  const auto common = common_timeline(*history, {upstream.timeline_history, upstream.timeline});
  if (!common) return differs(Need::kRewind, "no timeline of it is one of the upstream's");
  if (!common->end) {
    // Both are on this timeline. Only one of them can have written to it, unless somebody played tricks; a backup that
    // has never been started looks like the primary that it was taken from.
    std::error_code ignored;
    const bool was_standby = control.was_in_recovery() || (files::exists(directory_.file("backup_label"), ignored) &&
                                                           files::exists(directory_.file("standby.signal"), ignored));
    if (was_standby) return diagnosis;
    return differs(Need::kRebuild, "it was a primary on timeline " + std::to_string(end->timeline) +
                                       ", on which the upstream is one now");
  }
  divergence.fork = common->end;
  divergence.fork_timeline = common->timeline;
  if (common->timeline == end->timeline && end->lsn <= *common->end) return diagnosis;
  return differs(Need::kRewind, "its WAL ends at " + format_lsn(end->lsn) + " on timeline " +
                                    std::to_string(end->timeline) + ", and the upstream left it at " +
                                    format_lsn(*common->end) + " on timeline " + std::to_string(common->timeline));
}

std::string Rejoin::obstacle_to_rewind(const ControlData& control, const UpstreamAccess& upstream) const {
  if (!control.wal_log_hints && !control.data_checksums) return "it has neither wal_log_hints nor data checksums";
  return upstream.obstacle_to_rewind();
}

Result<RejoinReport> Rejoin::rewind(const Divergence& divergence, const UpstreamAccess& upstream) {
  if (const auto kept = quarantine_.find(divergence)) {
    report_.quarantine = *kept;
  } else if (export_was_cut_off_) {
    if (auto exported = export_rows(divergence); !exported) return exported.error();
  } else if (const auto copied = quarantine_.copy(divergence, time_stamp(), say_); copied) {
    report_.quarantine = *copied;
  } else if (directory_.break_off().stop_requested() || copied.error().kind != PlacingError::Kind::kNoRoom) {
    return Error{copied.error().message};
  } else {
    auto why = copied.error().message;
    auto beside = check_room_beside(upstream);
    if (beside) {
      say_(why + "; so it is moved aside and rebuilt");
      const auto rebuilt = try_rebuild(divergence, upstream);
      if (rebuilt) return *rebuilt;
      beside = rebuilt.error();
    }
    why += "; " + beside.error().message;
    if (directory_.break_off().stop_requested() || beside.error().kind != PlacingError::Kind::kNoRoom)
      return Error{why};
    say_(why + "; so the rows that it alone has are written out first");
    report_.quarantine.clear();
    if (auto exported = export_rows(divergence); !exported) return Error{why + "; and " + exported.error().message};
  }
  say_("what it alone has is in " + report_.quarantine);
  tell_what_is_lost("");
  if (auto saved = marker_.save_configuration(); !saved) return saved.error();
  if (auto marked = marker_.write({RejoinStep::kRewind, report_.quarantine, {}, {}}); !marked) return marked.error();
  if (const RemovalLock lock(report_.quarantine); !lock.is_held() || !quarantine_.keeps(report_.quarantine)) {
    if (auto removed = marker_.remove(); !removed) return removed.error();
    return Error{(lock.is_held() ? "what " + report_.quarantine + " kept was removed" : lock.problem()) +
                 "; rejoin again"};
  }

  // pg_rewind lets a crashed server recover first, which it does not do as a standby.
  for (const char* signal : {"standby.signal", "recovery.signal"}) {
    if (auto removed = remove_durably(directory_.file(signal)); !removed) return removed.error();
  }
  say_("rewinding it to where " + upstream_.node + " took over");
  const auto version = directory_.major_version();
  const auto call =
      rewind_call(version ? *version : 0, directory_.path(), upstream.conninfo(), directory_.config_file());
  const auto control = directory_.control_data();
  const bool crashed = !control || !control->shut_down_cleanly();
  Result<std::string> rewound = std::string();
  if (crashed && !call.recovery.empty()) rewound = directory_.run("postgres", call.recovery, kRewindLimit);
  std::optional<std::uint32_t> percent;
  if (rewound) {
    copied_ = true;
    rewound = directory_.run("pg_rewind", call.arguments, kRewindLimit, upstream.environment(),
                             tell_percent("rewinding it to " + upstream_.node, percent),
                             [this] { return kRewindFactor * options_.silence_limit; });
  }
  if (!rewound) {
    if (directory_.break_off().stop_requested()) return rewound.error();
    say_("the rewind failed, so it is rebuilt: " + rewound.error().message);
    return rebuild(divergence, upstream);
  }
  if (auto restored = marker_.restore_configuration(directory_.path()); !restored) return restored.error();
  if (auto written = write_standby_files(directory_, directory_.path(), upstream, node_.name, std::nullopt); !written) {
    return written.error();
  }
  if (auto synced = sync_file_system(directory_.path()); !synced) return synced.error();
  if (auto removed = marker_.remove(); !removed) return removed.error();
  report_.method = "rewind";
  return report_;
}

Result<RejoinReport> Rejoin::rebuild(const std::optional<Divergence>& divergence, const UpstreamAccess& upstream) {
  const auto rebuilt = try_rebuild(divergence, upstream);
  if (rebuilt) return *rebuilt;
  const bool no_room = rebuilt.error().kind == PlacingError::Kind::kNoRoom;
  return Error{rebuilt.error().message + (no_room ? "; make room and rejoin again" : "")};
}

// The old directory stays as it is until the new one is complete: a backup that fails costs nothing.
Result<RejoinReport, PlacingError> Rejoin::try_rebuild(const std::optional<Divergence>& divergence,
                                                       const UpstreamAccess& upstream) {
  const auto other = [](const Error& error) { return PlacingError{PlacingError::Kind::kOther, error.message}; };
  if (auto replaceable = check_replaceable(); !replaceable) return other(replaceable.error());
  if (auto room = check_room_beside(upstream); !room) return room.error();
  if (!marker_.exists()) {
    if (auto saved = marker_.save_configuration(); !saved) return other(saved.error());
  }

  RejoinProgress progress{RejoinStep::kSwap, report_.quarantine, directory_.beside(".new-" + time_stamp()), {}};
  if (!directory_.is_empty_or_absent()) {
    progress.moved_aside = directory_.beside(".replaced-" + time_stamp());
    if (divergence && progress.quarantine.empty()) {
      auto reported = quarantine_.report_moved(*divergence, time_stamp(), progress.moved_aside);
      if (!reported) return other(reported.error());
      progress.quarantine = report_.quarantine = std::move(*reported);
      tell_what_is_lost(directory_.path());
    }
  }
  say_("copying " + upstream_.node);
  if (auto made = make_new_directory(progress.new_directory, upstream); !made) {
    // To remove what may be terabytes is no work for whoever wants to fence it: the next rejoin does.
    if (!directory_.break_off().stop_requested()) remove_places();
    return made.error();
  }

  std::error_code ignored;
  if (!directory_.is_empty_or_absent()) {
    files::permissions(progress.new_directory, files::status(directory_.path(), ignored).permissions(), ignored);
  }
  if (auto marked = marker_.write(progress); !marked) return other(marked.error());
  if (auto forgotten = places_.forget(); !forgotten) return other(forgotten.error());
  if (auto swapped = swap(progress); !swapped) return other(swapped.error());
  report_ = {"basebackup", progress.quarantine, progress.moved_aside};
  // A quarantine may be no more than a report on the directory that was moved aside (rule 4).
  if (options_.discard_old_data && !divergence && report_.quarantine.empty()) discard(progress.moved_aside);
  return report_;
}

Result<void, PlacingError> Rejoin::make_new_directory(const std::string& path, const UpstreamAccess& upstream) {
  if (auto copied = base_backup(path, upstream); !copied) return copied;
  const auto port = marker_.has_configuration() ? std::nullopt : std::optional(node_.port);
  auto made = marker_.restore_configuration(path);
  if (made) made = write_standby_files(directory_, path, upstream, node_.name, port);
  if (made) made = sync_file_system(path);
  if (made) return {};
  return problem_in(path, made.error());
}

void Rejoin::discard(const std::string& moved_aside) {
  if (moved_aside.empty()) return;
  std::error_code problem;
  std::string linked;
  for (const auto& link : links_of(moved_aside))
    linked += (linked.empty() ? "; what it linked to stays: " : ", ") + files::weakly_canonical(link, problem).string();
  files::remove_all(moved_aside, problem);
  if (problem) {
    say_(moved_aside + " cannot be removed: " + problem.message());
    return;
  }
  report_.moved_aside.clear();
  say_("its old data directory is removed, as ordered" + linked);
}

Result<void> Rejoin::check_replaceable() const {
  if (is_mount_point(directory_.path())) {
    return Error{directory_.path() +
                 " is a mount point, so that no new data directory can take its place; keep the data "
                 "directory in a folder below it"};
  }
  if (access(directory_.parent().c_str(), W_OK) == 0) return {};
  return Error{"a new data directory cannot be made beside " + directory_.path() + ": " + std::strerror(errno)};
}

// Each step may have been done before.
Result<void> Rejoin::swap(const RejoinProgress& progress) const {
  std::error_code ignored;
  if (files::exists(progress.new_directory, ignored)) {
    if (!progress.moved_aside.empty() && !directory_.is_empty_or_absent()) {
      if (auto renamed = rename_durably(directory_.path(), progress.moved_aside); !renamed) return renamed;
    }
    if (auto renamed = rename_durably(progress.new_directory, directory_.path()); !renamed) return renamed;
  }
  return marker_.remove();
}

void Rejoin::remove_places() const {
  for (const auto& line : places_.remove()) say_(line);
}

// "20261123T081530.123Z": sorts, and stands well in file names.
std::string Rejoin::time_stamp() const {
  auto text = format_wall_time(wall_now());
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

}  // namespace pgkeel
