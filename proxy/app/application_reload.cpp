// The part of Application that takes a changed configuration over: all of it, or nothing.
#include <algorithm>
#include <iterator>
#include <utility>

#include "config/find.h"
#include "config/parse.h"
#include "config/problem.h"
#include "config/shared_settings.h"
#include "config/validate.h"
#include "proxy/app/application.h"
#include "proxy/app/logging.h"
#include "proxy/app/reload_rules.h"
#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/durable_file.h"
#include "proxy/listener/access_change.h"

namespace pgkeel {
namespace {

// A probe that cannot log in any more must not be what a wrong path in the file leads to.
void look_at_password_files(const Config& wanted, std::vector<std::string>& problems) {
  for (const auto& cluster : wanted.clusters) {
    for (const auto& [table, user] :
         {std::pair("monitor", &cluster.monitor), std::pair("replication", &cluster.replication)}) {
      if (user->password_file.empty()) continue;
      if (const auto text = read_file(user->password_file); !text)
        problems.push_back("cluster." + cluster.name + "." + table + ".password_file: " + text.error().message);
    }
  }
}

// Nor must the link to an agent be given up for one that cannot be made. Those that stay keep what they have, whatever
// has become of the files.
void look_at_agents_certificates(const Config& running, const Config& wanted, std::vector<std::string>& problems) {
  for (const auto& cluster : wanted.clusters) {
    const ClusterConfig* was = find_cluster_config(running, cluster.name);
    for (const auto& node : cluster.nodes) {
      const NodeConfig* before = find_node_config(was, node.name);
      if (!node.agent || (before != nullptr && before->agent == node.agent)) continue;
      const auto& tls = node.agent->tls;
      const auto usable = check_certificate_files(tls.ca, tls.cert, tls.key, CertificateRole::kProxy);
      if (!usable)
        problems.push_back("cluster." + cluster.name + ".node." + node.name + ".agent: " + usable.error().message);
    }
  }
}

}  // namespace

ReloadAnswer Application::reload(const std::string& by, bool preview) {
  Reload reload = prepare_reload();
  if (preview) return std::move(reload.answer);
  if (reload.answer.accepted) carry_out(reload);
  configuration_.reloaded(reload.answer, wall_now());
  record(reload.answer.accepted ? LogLevel::kInfo : LogLevel::kError, "reload", reload_line(reload.answer, by));
  return std::move(reload.answer);
}

std::string Application::why_no_reload() const {
  if (is_ending()) return "pgkeel is shutting down";
  if (giver_ && giver_->is_former()) return "another process has taken over: reload that one";
  // Either of the two processes may be the one that goes on, and the other one has read the file already.
  if (giver_ && giver_->is_under_way()) return "a restart in place is under way; reload again when that is over";
  return "";
}

// Whatever may fail is done here, where nothing has changed yet.
Application::Reload Application::prepare_reload() {
  Reload reload;
  ReloadAnswer& answer = reload.answer;
  answer.file = options_.config_path;
  if (auto why_not = why_no_reload(); !why_not.empty()) {
    answer.problems.push_back(std::move(why_not));
    return reload;
  }
  const auto loaded = load_config(options_.config_path);
  if (!loaded) {
    answer.problems = problem_lines(loaded.error());
    return reload;
  }
  answer.changes = config_changes(config_, *loaded);
  reload.wanted = without_restart(config_, *loaded);
  std::ranges::move(
      problem_lines(validate(reload.wanted, {}, options_.config_path + ", with what waits for a restart")),
      std::back_inserter(answer.problems));
  look_at_password_files(reload.wanted, answer.problems);
  look_at_agents_certificates(config_, reload.wanted, answer.problems);
  if (auto admin_tls = load_admin_tls(reload.wanted.admin.tls))
    reload.admin_tls = std::move(*admin_tls);
  else
    answer.problems.push_back(admin_tls.error().message);
  for (const auto& cluster : clusters_) {
    const ClusterConfig* wanted = find_cluster_config(reload.wanted, cluster->name());
    std::ranges::move(cluster->refusals(wanted), std::back_inserter(answer.problems));
    if (wanted == nullptr && !formers_.empty()) {
      answer.problems.push_back("cluster." + cluster->name() +
                                ": cannot be removed while sessions of it may be left in process " +
                                std::to_string(formers_.begin()->first) +
                                ", from which this one took over; reload again when that has ended");
    }
    std::ranges::move(reload_notes(*find_cluster_config(config_, cluster->name()), wanted),
                      std::back_inserter(answer.notes));
  }
  for (const auto& cluster : reload.wanted.clusters) {
    if (find_cluster(cluster.name) != nullptr) continue;
    auto memory = state_->load(cluster.name);
    if (memory)
      reload.memories[cluster.name] = std::move(*memory);
    else
      answer.problems.push_back(memory.error().message);
  }
  if (!answer.problems.empty()) return reload;
  auto access = workers_->prepare_reload(reload.wanted.proxy, reload.wanted.clusters);
  if (access)
    reload.access = std::move(*access);
  else
    answer.problems.push_back(access.error().message);
  answer.accepted = answer.problems.empty();
  return reload;
}

// Nothing in here can fail. The control thread does nothing else meanwhile: no decision sees half of it.
void Application::carry_out(Reload& reload) {
  change_logging(reload.wanted.log);
  for (const auto& cluster : config_.clusters) {
    const ClusterConfig* wanted = find_cluster_config(reload.wanted, cluster.name);
    if (wanted == nullptr || wanted->listen != cluster.listen)
      service_manager_.forget_socket(socket_name(cluster.name));
  }
  config_ = std::move(reload.wanted);
  admin_certificate_.use(std::move(reload.admin_tls));
  workers_->reload(*reload.access);
  auto before = std::exchange(clusters_, {});
  std::vector<ClusterService*> new_ones;
  for (const auto& config : config_.clusters) {
    const auto found =
        std::ranges::find_if(before, [&](const auto& cluster) { return cluster && cluster->name() == config.name; });
    if (found != before.end()) {
      clusters_.push_back(std::move(*found));
      clusters_.back()->reconfigure(config, config_.quarantine);
    } else {
      clusters_.push_back(make_cluster(config, std::move(reload.memories[config.name]), ""));
      new_ones.push_back(clusters_.back().get());
    }
  }
  for (auto* cluster : new_ones) cluster->start(std::map<std::string, Route>());
  if (peers_) peers_->settings_are(shared_settings(config_));
  if (coordinator_) coordinator_->configuration_is(digest_of(shared_settings(config_)));
  tell_service_manager();
}

}  // namespace pgkeel
