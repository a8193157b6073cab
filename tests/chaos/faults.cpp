#include "tests/chaos/faults.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <thread>

namespace pgkeel::chaos {
namespace {

void pause_up_to(Random& random, int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(0, milliseconds)(random)));
}

// As a service manager does that restarts what has died.
void restart_at_once(Cluster& cluster, const std::string& node) {
  cluster.server(node).kill_tree();
  cluster.start_server(node);
}

// Whatever is written or flushed there takes a good part of a second, for some seconds.
void slow_down(Disk& disk, Random& random) {
  for (int time = 0; time < 12; ++time) {
    disk.freeze();
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(100, 600)(random)));
    disk.thaw();
  }
}

std::vector<Fault> faults_of_servers() {
  return {
      {"kill primary", [](Cluster& c, const Roles& r, Random&) { c.server(r.primary).kill_tree(); }},
      {"kill standby", [](Cluster& c, const Roles& r, Random&) { c.server(r.standby).kill_tree(); }},
      {"freeze primary", [](Cluster& c, const Roles& r, Random&) { c.server(r.primary).freeze_tree(); }},
      {"freeze standby", [](Cluster& c, const Roles& r, Random&) { c.server(r.standby).freeze_tree(); }},
      {"restart primary at once", [](Cluster& c, const Roles& r, Random&) { restart_at_once(c, r.primary); }},
      {"restart standby at once", [](Cluster& c, const Roles& r, Random&) { restart_at_once(c, r.standby); }},
      {"restart primary again and again",
       [](Cluster& c, const Roles& r, Random& random) {
         for (int time = 0; time < 3; ++time) {
           restart_at_once(c, r.primary);
           pause_up_to(random, 500);
         }
       }},
      {"freeze primary for a moment, again and again",
       [](Cluster& c, const Roles& r, Random& random) {
         for (int time = 0; time < 3; ++time) {
           c.server(r.primary).freeze_tree();
           pause_up_to(random, 4000);
           c.server(r.primary).thaw_tree();
           pause_up_to(random, 500);
         }
       }},
  };
}

std::vector<Fault> faults_of_the_network() {
  const auto cut = [](const char* kind, auto from, auto to, Among among = Among::kOne) {
    return Fault{.kind = kind,
                 .begin = [from, to](Cluster& c, const Roles& r, Random&) { c.network().cut(from(r), to(r)); },
                 .among = among};
  };
  const auto of_one = [](const char* kind, auto begin) {
    return Fault{.kind = kind, .begin = begin, .among = Among::kOne};
  };
  const auto primary = [](const Roles& r) { return r.primary; };
  const auto standby = [](const Roles& r) { return r.standby; };
  const auto pgkeel = [](const Roles&) { return std::string(kPgkeelHost); };
  const auto clients = [](const Roles&) { return std::string(kClientsHost); };
  return {
      cut("cut primary to pgkeel", primary, pgkeel),
      cut("cut pgkeel to primary", pgkeel, primary),
      cut("cut standby to pgkeel", standby, pgkeel),
      cut("cut pgkeel to standby", pgkeel, standby),
      cut("cut primary to standby", primary, standby, Among::kAnyNumber),
      cut("cut standby to primary", standby, primary, Among::kAnyNumber),
      cut("cut clients to pgkeel", clients, pgkeel),
      cut("cut pgkeel to clients", pgkeel, clients),
      of_one("cut primary and pgkeel",
             [](Cluster& c, const Roles& r, Random&) { c.network().cut_both_ways(r.primary, kPgkeelHost); }),
      of_one("cut standby and pgkeel",
             [](Cluster& c, const Roles& r, Random&) { c.network().cut_both_ways(r.standby, kPgkeelHost); }),
      {"cut primary and standby",
       [](Cluster& c, const Roles& r, Random&) { c.network().cut_both_ways(r.primary, r.standby); }},
      {"isolate primary", [](Cluster& c, const Roles& r, Random&) { c.network().isolate(r.primary); }},
      {"isolate standby", [](Cluster& c, const Roles& r, Random&) { c.network().isolate(r.standby); }},
      of_one("isolate pgkeel", [](Cluster& c, const Roles&, Random&) { c.network().isolate(kPgkeelHost); }),
  };
}

std::vector<Fault> faults_of_pgkeel() {
  return {
      {"kill pgkeel", [](Cluster& c, const Roles&, Random&) { c.pgkeels().kill(kPgkeelHost); }},
      {"freeze pgkeel", [](Cluster& c, const Roles&, Random&) { c.pgkeels().freeze(kPgkeelHost); }},
      {"kill primary, then pgkeel, which is restarted",
       [](Cluster& c, const Roles& r, Random& random) {
         c.server(r.primary).kill_tree();
         pause_up_to(random, 800);
         c.pgkeels().kill(kPgkeelHost);
         pause_up_to(random, 500);
         c.pgkeels().start(kPgkeelHost);
       }},
      {"freeze primary, then kill pgkeel, which is restarted",
       [](Cluster& c, const Roles& r, Random& random) {
         c.server(r.primary).freeze_tree();
         pause_up_to(random, 5000);
         c.pgkeels().kill(kPgkeelHost);
         pause_up_to(random, 500);
         c.pgkeels().start(kPgkeelHost);
       }},
      {"isolate primary, then kill pgkeel, which is restarted",
       [](Cluster& c, const Roles& r, Random& random) {
         c.network().isolate(r.primary);
         pause_up_to(random, 5000);
         c.pgkeels().kill(kPgkeelHost);
         pause_up_to(random, 500);
         c.pgkeels().start(kPgkeelHost);
       }},
  };
}

std::vector<Fault> faults_of_disks() {
  return {
      {"disk of primary full", [](Cluster& c, const Roles& r, Random&) { c.disk_of(r.primary).fill(); }, true},
      {"disk of standby full", [](Cluster& c, const Roles& r, Random&) { c.disk_of(r.standby).fill(); }, true},
      {"disk of primary stands still", [](Cluster& c, const Roles& r, Random&) { c.disk_of(r.primary).freeze(); },
       true},
      {"disk of standby stands still", [](Cluster& c, const Roles& r, Random&) { c.disk_of(r.standby).freeze(); },
       true},
      {"disk of primary slow",
       [](Cluster& c, const Roles& r, Random& random) { slow_down(c.disk_of(r.primary), random); }, true},
      {"disk of standby slow",
       [](Cluster& c, const Roles& r, Random& random) { slow_down(c.disk_of(r.standby), random); }, true},
  };
}

std::vector<Fault> faults_of_the_state_folder() {
  return {
      {"state folder full", [](Cluster& c, const Roles&, Random&) { c.disk_of_state().fill(); }, true},
      {"state folder full, then kill primary",
       [](Cluster& c, const Roles& r, Random&) {
         c.disk_of_state().fill();
         c.server(r.primary).kill_tree();
       },
       true},
      {"kill primary, then state folder full",
       [](Cluster& c, const Roles& r, Random& random) {
         c.server(r.primary).kill_tree();
         pause_up_to(random, 300);
         c.disk_of_state().fill();
       },
       true},
  };
}

std::vector<Fault> faults_of_agents() {
  const auto with_agents = [](const char* kind, auto begin) {
    return Fault{.kind = kind, .begin = begin, .needs_agents = true};
  };
  return {
      with_agents("kill agent of primary", [](Cluster& c, const Roles& r, Random&) { c.agent_of(r.primary).kill(); }),
      with_agents("kill agent of standby", [](Cluster& c, const Roles& r, Random&) { c.agent_of(r.standby).kill(); }),
      with_agents("freeze agent of primary",
                  [](Cluster& c, const Roles& r, Random&) { ::kill(c.agent_of(r.primary).pid(), SIGSTOP); }),
      with_agents("kill primary and its agent",
                  [](Cluster& c, const Roles& r, Random&) {
                    c.agent_of(r.primary).kill();
                    c.server(r.primary).kill_tree();
                  }),
      with_agents("freeze primary and its agent",
                  [](Cluster& c, const Roles& r, Random&) {
                    ::kill(c.agent_of(r.primary).pid(), SIGSTOP);
                    c.server(r.primary).freeze_tree();
                  }),
      with_agents("kill primary, then its agent, which is restarted",
                  [](Cluster& c, const Roles& r, Random& random) {
                    c.server(r.primary).kill_tree();
                    pause_up_to(random, 4000);
                    c.agent_of(r.primary).kill();
                    pause_up_to(random, 500);
                    c.start_agent(r.primary);
                  }),
  };
}

std::vector<Fault> among_one(std::vector<Fault> faults) {
  for (auto& each : faults) each.among = Among::kOne;
  return faults;
}

}  // namespace

const std::vector<Fault>& all_faults() {
  static const std::vector<Fault> faults = [] {
    std::vector<Fault> all;
    for (const auto& some :
         {faults_of_servers(), faults_of_the_network(), among_one(faults_of_pgkeel()), faults_of_disks(),
          among_one(faults_of_the_state_folder()), faults_of_agents(), faults_of_several_pgkeels()}) {
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }();
  return faults;
}

const Fault& fault(const std::string& kind) {
  const auto found = std::ranges::find(all_faults(), kind, &Fault::kind);
  if (found == all_faults().end()) throw std::runtime_error("there is no fault \"" + kind + "\"");
  return *found;
}

}  // namespace pgkeel::chaos
