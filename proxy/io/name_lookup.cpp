#include "proxy/io/name_lookup.h"

#include <algorithm>
#include <netdb.h>
#include <utility>

#include <uv.h>

#include "proxy/io/loop.h"

namespace pgkeel {
namespace {

std::vector<std::string> numeric_addresses(const addrinfo* list) {
  std::vector<std::string> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (std::find(addresses.begin(), addresses.end(), text) == addresses.end()) addresses.emplace_back(text);
  }
  return addresses;
}

}  // namespace

struct NameLookup::Inner {
  uv_getaddrinfo_t request{};
  NameLookup* owner = nullptr;  // null: nobody waits any more
  std::string host;
  Done done;

  void finish(int status, const addrinfo* list) {
    const std::unique_ptr<Inner> self(this);
    if (owner == nullptr) return;
    owner->inner_ = nullptr;
    auto addresses = status == 0 ? numeric_addresses(list) : std::vector<std::string>{};
    if (!addresses.empty()) {
      done(std::move(addresses));
    } else {
      done(Error{"cannot look up " + host + ": " + (status != 0 ? uv_strerror(status) : "it has no address")});
    }
  }
};

NameLookup::NameLookup(Loop& loop, const std::string& host, Done done) : inner_(new Inner) {
  inner_->owner = this;
  inner_->host = host;
  inner_->done = std::move(done);
  inner_->request.data = inner_;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  const int status = uv_getaddrinfo(
      loop.handle(), &inner_->request,
      [](uv_getaddrinfo_t* request, int result, addrinfo* list) {
        static_cast<Inner*>(request->data)->finish(result, list);
        uv_freeaddrinfo(list);
      },
      host.c_str(), nullptr, &hints);
  if (status != 0) loop.defer([inner = inner_, status] { inner->finish(status, nullptr); });
}

NameLookup::~NameLookup() {
  if (inner_ != nullptr) inner_->owner = nullptr;
}

}  // namespace pgkeel
