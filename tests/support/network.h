// Hosts joined by a bridge, each in a network namespace of its own, whose links can be cut in each direction. The
// namespaces have no names: the kernel takes them back, with all that is in them, when the last process and descriptor
// in them is gone, however the test ends. Needs root. Failures throw. Any thread may visit; cuts are for one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace pgkeel::test {

// A descriptor of a network namespace.
class NetworkNamespace {
 public:
  static NetworkNamespace create();
  static NetworkNamespace of_this_thread();
  ~NetworkNamespace();
  NetworkNamespace(NetworkNamespace&& other) noexcept;
  NetworkNamespace& operator=(NetworkNamespace&&) = delete;

  void enter() const;  // this thread, and what it starts from now on
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  explicit NetworkNamespace(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

class Network {
 public:
  // Why there can be none here; empty: there can.
  static std::string obstacle();

  explicit Network(const std::vector<std::string>& hosts);

  [[nodiscard]] const std::string& address(const std::string& host) const { return hosts_.at(host).address; }
  // A block that contains all of these addresses.
  [[nodiscard]] static std::string block() { return "10.77.0.0/24"; }

  // While it lives, this thread, and what it starts, is on that host.
  class Visit {
   public:
    explicit Visit(const NetworkNamespace& host) : home_(NetworkNamespace::of_this_thread()) { host.enter(); }
    ~Visit() { home_.enter(); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    NetworkNamespace home_;
  };
  [[nodiscard]] Visit visit(const std::string& host) const { return Visit(hosts_.at(host).name_space); }

  // What `from` sends to `to` is dropped from now on.
  void cut(const std::string& from, const std::string& to) const;
  void cut_both_ways(const std::string& one, const std::string& other) const;
  void isolate(const std::string& host) const;
  void heal() const;  // all cuts

 private:
  struct Host {
    std::string address;
    NetworkNamespace name_space;
  };

  NetworkNamespace bridge_;
  std::map<std::string, Host> hosts_;
};

}  // namespace pgkeel::test
