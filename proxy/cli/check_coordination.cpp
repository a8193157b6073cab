#include "proxy/cli/check_coordination.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "config/shared_settings.h"
#include "config/values.h"
#include "proxy/base/version.h"
#include "proxy/io/certificates.h"
#include "proxy/io/clock.h"
#include "proxy/io/loop.h"
#include "replication/coordination/own_settings.h"
#include "replication/peers/peer_client.h"

namespace pgkeel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLimit = 3s;
constexpr std::uint32_t kOldestMinor = 4;  // of etcd 3
constexpr std::size_t kEtcdsThatSurviveOne = 3;

// Counts what is under way on a loop, and ends its run when that is over.
class Questions {
 public:
  explicit Questions(Loop& loop) : loop_(loop) {}
  void begin() { ++open_; }
  void end() {
    if (--open_ == 0) loop_.stop();
  }
  void wait() {
    if (open_ > 0) loop_.run();
  }

 private:
  Loop& loop_;
  std::size_t open_ = 0;
};

// An error: it may not be read, or is none of pgkeel's.
Result<std::map<std::string, LiveMember>> read_members(const std::string& prefix,
                                                       const Result<std::string, EtcdFailure>& body) {
  if (!body) return Error{body.error().message};
  const auto answer = read_answer(*body);
  if (!answer) return answer.error();
  const EtcdKeys keys(prefix);
  AgreedState state;
  for (const auto& entry : answer->entries) {
    if (!entry.key.starts_with(keys.member(""))) continue;
    if (const auto taken = keys.take(state, entry); !taken) return taken.error();
  }
  return std::move(state.members);
}

void ask_for_members(EtcdClient& client, const std::string& prefix, Questions& questions,
                     CoordinationFacts::Etcd& facts, std::map<std::string, LiveMember>& members) {
  client.ask(read_prefix(prefix), kLimit,
             [&, prefix, asked_at = monotonic_now()](const Result<std::string, EtcdFailure>& body) {
               facts.answered_in = monotonic_now() - asked_at;
               auto read = read_members(prefix, body);
               if (!read) facts.cannot_read = read.error().message;
               if (read && members.empty()) members = std::move(*read);
               questions.end();
             });
}

// How it is, with a login where there is a user; then what is below the prefix, which shows how quick it is.
void ask_etcd(EtcdClient& client, const std::string& prefix, Questions& questions, CoordinationFacts::Etcd& facts,
              std::map<std::string, LiveMember>& members) {
  questions.begin();
  client.ask(ask_status(), kLimit, [&, prefix](const Result<std::string, EtcdFailure>& body) {
    const auto status = body ? read_status(*body) : Result<EtcdStatus>(Error{body.error().message});
    if (!status) {
      facts.error = status.error().message;
      return questions.end();
    }
    facts.version = status->version;
    facts.has_leader = status->has_leader;
    facts.alarms = status->errors;
    ask_for_members(client, prefix, questions, facts, members);
  });
}

// "3.4.23"
bool is_too_old(const std::string& version) {
  const auto dot = version.find('.');
  if (version.substr(0, dot) != "3") return version.starts_with("2.");
  std::uint32_t minor = 0;
  std::from_chars(version.data() + dot + 1, version.data() + version.size(), minor);
  return minor < kOldestMinor;
}

Finding finding_of(FindingSeverity severity, std::string rule, std::string subject, std::string problem,
                   std::string remedy) {
  Finding finding;
  finding.rule = std::move(rule);
  finding.subject = std::move(subject);
  finding.severity = severity;
  finding.problem = std::move(problem);
  finding.remedy = std::move(remedy);
  return finding;
}

void judge_etcd(const CoordinationConfig& config, const CoordinationFacts::Etcd& etcd, bool majority_is_there,
                std::vector<Finding>& findings) {
  const auto found = [&](FindingSeverity severity, const std::string& problem, const std::string& remedy) {
    findings.push_back(finding_of(severity, "etcd", etcd.url, fmt::format("etcd {} {}", etcd.url, problem), remedy));
  };
  const std::string health = "etcdctl --endpoints=" + etcd.url + " endpoint health";
  if (!etcd.error.empty()) {
    const bool takes_no_names = etcd.error.find("CommonName") != std::string::npos;
    found(majority_is_there ? FindingSeverity::kWarning : FindingSeverity::kError, "cannot be asked: " + etcd.error,
          takes_no_names
              ? "a certificate without a CommonName as `[coordination] tls.cert`: where etcd has users, its JSON "
                "gateway takes no other"
              : "start it, or correct `etcd`, `tls`, `user` or `password_file` of [coordination]; " + health);
    return;
  }
  if (is_too_old(etcd.version))
    found(FindingSeverity::kError, "is version " + etcd.version + ", and 3.4 is needed", "upgrade it");
  if (!etcd.has_leader)
    found(FindingSeverity::kError, "has no leader: less than a majority of its members is there",
          "start the others; " + health);
  for (const auto& alarm : etcd.alarms) {
    const bool is_full = alarm.find("NOSPACE") != std::string::npos;
    found(FindingSeverity::kError, "says: " + alarm,
          is_full ? "etcdctl compact and defrag, then etcdctl alarm disarm; have it compact by itself: "
                    "--auto-compaction-retention=1h"
                  : health);
  }
  if (!etcd.cannot_read.empty() && etcd.has_leader)
    found(
        FindingSeverity::kError, "does not let pgkeel read " + config.prefix + ": " + etcd.cannot_read,
        "correct `[coordination] user`, `password_file`; etcdctl role grant-permission ROLE readwrite --prefix=true " +
            config.prefix);
  const Duration renews = config.lease / 8;
  if (etcd.answered_in > renews)
    found(FindingSeverity::kWarning,
          fmt::format("took {} to answer, and a lease of {} is renewed every {}",
                      format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(etcd.answered_in)),
                      format_duration(config.lease), format_duration(renews)),
          "give it a disk of its own, or raise `[coordination] lease`");
}

void judge_peer(const CoordinationFacts::Peer& peer, std::vector<Finding>& findings) {
  const auto found = [&](FindingSeverity severity, const std::string& problem, const std::string& remedy) {
    findings.push_back(
        finding_of(severity, "peer", peer.name, fmt::format("pgkeel {} {}", peer.name, problem), remedy));
  };
  if (!peer.error.empty()) {
    found(FindingSeverity::kError, "at " + peer.address + " does not answer this one: " + peer.error,
          "let its `[coordination] peer` port through, and give both certificates of one authority that bear their "
          "hosts: pgkeel keygen --proxy; without it neither routes while etcd is away");
    return;
  }
  if (peer.version != pgkeel_version())
    found(FindingSeverity::kNotice, fmt::format("is version {}, and this is {}", peer.version, pgkeel_version()),
          "upgrade one after the other");
  if (!peer.differs_in.empty()) {
    std::string keys;
    for (const auto& key : peer.differs_in) keys += (keys.empty() ? "" : ", ") + key;
    found(FindingSeverity::kWarning, "is configured differently in " + keys,
          "make the files equal in that, then pgkeel reload");
  }
}

}  // namespace

CoordinationFacts look_at_coordination(const Config& config) {
  CoordinationFacts facts;
  const auto settings = read_etcd_settings(config.coordination);
  if (!settings) {
    facts.problem = settings.error().message;
    return facts;
  }
  const TlsFiles& tls = config.coordination.peer.tls;
  const auto identity = read_tls_identity(tls.ca, tls.cert, tls.key);
  Loop loop;
  Questions questions(loop);
  std::map<std::string, LiveMember> members;
  {
    std::vector<std::unique_ptr<EtcdClient>> clients;
    facts.etcds.resize(settings->endpoints.size());
    for (std::size_t place = 0; place < settings->endpoints.size(); ++place) {
      EtcdSettings alone = *settings;
      alone.endpoints = {settings->endpoints[place]};
      facts.etcds[place].url = alone.endpoints.front();
      clients.push_back(std::make_unique<EtcdClient>(loop, std::move(alone)));
      ask_etcd(*clients.back(), config.coordination.prefix, questions, facts.etcds[place], members);
    }
    questions.wait();
  }
  members.erase(own_member_name(config.coordination));
  if (!identity) return facts;  // `pgkeel check` has told of it
  PeerClient client(loop, *identity);
  facts.peers.reserve(members.size());
  for (const auto& [name, live] : members) {
    auto& peer = facts.peers.emplace_back();
    peer.name = name;
    peer.address = live.address;
    questions.begin();
    client.ask_view(live.address, kLimit, [&questions, &peer, &config](const Result<PeerView>& view) {
      if (view) {
        peer.version = view->version;
        peer.differs_in = differing_settings(shared_settings(config), view->settings);
      } else {
        peer.error = view.error().message;
      }
      questions.end();
    });
  }
  questions.wait();
  return facts;
}

std::vector<Finding> judge_coordination(const CoordinationConfig& config, const CoordinationFacts& facts) {
  std::vector<Finding> findings;
  if (!facts.problem.empty()) {
    findings.push_back(
        finding_of(FindingSeverity::kError, "files", "", facts.problem, "correct the path in `[coordination]`"));
    return findings;
  }
  const auto answering =
      static_cast<std::size_t>(std::ranges::count_if(facts.etcds, [](const auto& etcd) { return etcd.error.empty(); }));
  for (const auto& etcd : facts.etcds) judge_etcd(config, etcd, 2 * answering > facts.etcds.size(), findings);
  if (facts.etcds.size() < kEtcdsThatSurviveOne)
    findings.push_back(finding_of(FindingSeverity::kNotice, "etcd_members", "",
                                  fmt::format("{} etcd{} configured: with one of them gone nobody decides",
                                              facts.etcds.size(), facts.etcds.size() == 1 ? " is" : "s are"),
                                  "three, on three hosts, survive the loss of one"));
  for (const auto& peer : facts.peers) judge_peer(peer, findings);
  std::ranges::stable_sort(findings, std::greater<>(), &Finding::severity);
  return findings;
}

}  // namespace pgkeel
