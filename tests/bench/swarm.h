// Thousands of TCP connections to one port on one thread: what each is to say first goes out as soon as it is
// connected, what it hears is kept, its end is told. Connections come from many loopback addresses in turn, since one
// has too few ports for thousands of them a second. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io/descriptor.h"

namespace pgkeel::test {

class Swarm {
 public:
  enum class Event {
    kConnected,  // its first words are sent
    kHeard,      // heard() has grown
    kEnded,      // by the other side, or it could not be connected: error() says
  };
  // Whatever it does with the connection, opening it anew included, is done when it returns.
  using OnEvent = std::function<void(std::size_t number, Event event)>;

  Swarm(std::uint16_t port, std::size_t size, OnEvent on_event);
  ~Swarm();
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;

  void open(std::size_t number, std::string first_words);
  void write(std::size_t number, std::string_view bytes);  // small: what the kernel does not take at once is an error
  void reset(std::size_t number);                          // closed at once, and without a trace in the kernel
  // Waits for events, at most so long, and tells of them.
  void turn(std::chrono::milliseconds at_most);

  [[nodiscard]] bool is_open(std::size_t number) const { return slots_[number].descriptor >= 0; }
  [[nodiscard]] std::size_t open_count() const { return open_count_; }
  [[nodiscard]] std::string& heard(std::size_t number) { return slots_[number].heard; }
  [[nodiscard]] int error(std::size_t number) const { return slots_[number].error; }  // errno; 0: a clean end

 private:
  struct Slot {
    int descriptor = -1;
    std::uint32_t generation = 0;  // events of an earlier connection are told apart by it
    bool connecting = false;
    std::string first_words;
    std::string heard;
    int error = 0;
  };

  void watch(std::size_t number, std::uint32_t events, int operation);
  void take(std::size_t number, std::uint32_t events);
  void end(std::size_t number, int error);

  std::uint16_t port_;
  OnEvent on_event_;
  Descriptor epoll_;
  std::vector<Slot> slots_;
  std::size_t open_count_ = 0;
  std::uint32_t opened_ = 0;
};

}  // namespace pgkeel::test
