#include "tests/support/bad_company.h"

#include <chrono>
#include <exception>
#include <utility>

namespace pgkeel::test {

using namespace std::chrono_literals;

BadCompany::BadCompany(std::uint16_t port, std::size_t connections, std::string begin, std::string go_on)
    : port_(port), begin_(std::move(begin)), go_on_(std::move(go_on)) {
  members_.resize(connections);
  thread_ = std::thread([this] {
    while (!stopping_) {
      come_again();
      std::this_thread::sleep_for(20ms);
    }
  });
}

BadCompany::~BadCompany() {
  stopping_ = true;
  thread_.join();
}

void BadCompany::come_again() {
  for (auto& member : members_) {
    if (stopping_) return;
    try {
      while (member.is_open() && member.has_something_to_read()) {
        if (member.receive_some().empty()) member.close();
      }
      if (!member.is_open() && !connect(member)) continue;
      if (!go_on_.empty()) member.send_what_fits(go_on_);
    } catch (const std::exception&) {
      member.close();  // as it said something
    }
  }
}

bool BadCompany::connect(Peer& member) {
  try {
    member = Peer::connect_to(port_);
  } catch (const std::exception&) {
    ++refused_;
    return false;
  }
  ++come_;
  member.send_what_fits(begin_);
  return true;
}

}  // namespace pgkeel::test
