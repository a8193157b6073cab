// The parts of Coordinator that write for the leader, and that know what stands in the way.
#include <algorithm>
#include <utility>

#include "proxy/io/loop.h"
#include "replication/coordination/coordinator.h"

namespace pgkeel {
namespace {

Error not_leading() {
  return Error{"this pgkeel does not lead"};
}

}  // namespace

void Coordinator::write_memory(const std::string& cluster, const std::string& text, Written written) {
  const auto known = membership_.state().memories.find(cluster);
  std::uint64_t& newest = written_memories_[cluster];
  if (known != membership_.state().memories.end()) newest = std::max(newest, known->second.version);
  const auto version_there = [this, cluster, text, before = newest] {
    const auto& memories = membership_.state().memories;
    const auto there = memories.find(cluster);
    const bool is_ours = there != memories.end() && there->second.version > before && there->second.text == text;
    return is_ours ? there->second.version : 0;
  };
  write(EtcdTransaction().if_version(keys_.memory(cluster), newest).put(keys_.memory(cluster), text), version_there,
        [this, cluster, written = std::move(written)](Result<std::uint64_t> revision) {
          if (!revision) return written(revision.error());
          written_memories_[cluster] = *revision;
          written({});
        });
}

void Coordinator::write_route(const std::string& cluster, SharedRoute route, Written written) {
  const auto known = membership_.state().routes.find(cluster);
  SharedRoute& newest = written_routes_[cluster];
  if (known != membership_.state().routes.end() && known->second.version > newest.version) newest = known->second;
  route.serial = newest.serial + 1;
  const auto version_there = [this, cluster, route, before = newest.version] {
    const auto& routes = membership_.state().routes;
    const auto there = routes.find(cluster);
    const bool is_ours = there != routes.end() && there->second.version > before &&
                         there->second.serial == route.serial && there->second.same_route(route);
    return is_ours ? there->second.version : 0;
  };
  write(EtcdTransaction()
            .if_version(keys_.route(cluster), newest.version)
            .put(keys_.route(cluster), write_shared_route(route)),
        version_there, [this, cluster, route, written = std::move(written)](Result<std::uint64_t> revision) mutable {
          if (!revision) return written(revision.error());
          route.version = *revision;
          written_routes_[cluster] = route;
          written({});
        });
}

// Longer than a renewal may take: an etcd whose disk is slow answers those at once. The lease may end meanwhile, which
// the transaction finds.
void Coordinator::write(EtcdTransaction transaction, std::function<std::uint64_t()> version_there, Carried carried) {
  if (!membership_.leads(now())) {
    return loop_.defer([alive = std::weak_ptr<bool>(alive_), carried = std::move(carried)] {
      if (!alive.expired()) carried(not_leading());
    });
  }
  const std::uint64_t term = membership_.state().term;
  transaction.if_created_at(keys_.leader(), term);
  ++changes_asked_for_;
  ask_within(settings_.lease / 2, "writing", transaction.request(),
             [this, term, version_there = std::move(version_there),
              carried = std::move(carried)](Result<std::string, EtcdFailure> body) {
               --changes_asked_for_;
               if (!body && body.error().refused) return carried(Error{body.error().message});
               const auto answer = body ? read_answer(*body) : Result<EtcdAnswer>(Error{body.error().message});
               if (answer && answer->succeeded) return carried(answer->revision);
               // Its answer may be lost, and a request is sent again where a connection had died: the watch tells.
               const std::uint64_t version = membership_.state().term == term ? version_there() : 0;
               if (version != 0) return carried(version);
               if (answer) return carried(Error{"another pgkeel leads, or wrote meanwhile"});
               carried(Error{answer.error().message +
                             "; it may have been written all the same, and is then carried out: see `pgkeel status`"});
             });
}

void Coordinator::note(const char* what, const Result<std::string, EtcdFailure>& body) {
  problems_.erase(what);
  silent_since_.erase(what);
  if (body) return;
  problems_[what] = body.error().message;
  if (!body.error().refused) silent_since_[what] = now();
}

// What went without an answer need not be asked again: the watch told, or it is wanted no more.
void Coordinator::forget_old_silence() {
  std::erase_if(silent_since_, [this](const auto& silence) {
    if (now() < silence.second + settings_.lease) return false;
    problems_.erase(silence.first);
    return true;
  });
}

std::string Coordinator::problem() const {
  return problems_.empty() ? "" : problems_.begin()->second;
}

}  // namespace pgkeel
