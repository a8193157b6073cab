// Something to be done later: like a std::function<void()> that is moved and called once, but whose captures need no
// memory of their own where they are as small as most. A schedule makes tens of thousands. Tests only.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace pgkeel::simulation {

class Work {
 public:
  Work() = default;
  template <class Callable>
  requires(!std::is_same_v<std::remove_cvref_t<Callable>, Work>) Work(Callable&& callable) {  // as std::function has it
    using Stored = std::remove_cvref_t<Callable>;
    if constexpr (sizeof(Stored) <= sizeof room_ && alignof(Stored) <= alignof(std::max_align_t)) {
      ::new (static_cast<void*>(room_)) Stored(std::forward<Callable>(callable));
      kind_ = &kInRoom<Stored>;
    } else {
      ::new (static_cast<void*>(room_)) std::unique_ptr<Stored>(new Stored(std::forward<Callable>(callable)));
      kind_ = &kElsewhere<Stored>;
    }
  }
  Work(Work&& other) noexcept { take(other); }
  Work& operator=(Work&& other) noexcept {
    if (this != &other) {
      drop();
      take(other);
    }
    return *this;
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  ~Work() { drop(); }

  void operator()() { kind_->call(room_); }

 private:
  struct Kind {
    void (*call)(void* room);
    void (*move)(void* to, void* from);  // and ends what was in `from`
    void (*drop)(void* room);
  };

  template <class Stored>
  static Stored& in(void* room) {
    return *std::launder(static_cast<Stored*>(room));
  }
  template <class Stored>
  static void move_from(void* to, void* from) {
    ::new (to) Stored(std::move(in<Stored>(from)));
    in<Stored>(from).~Stored();
  }
  template <class Stored>
  static constexpr Kind kInRoom{[](void* room) { in<Stored>(room)(); }, move_from<Stored>,
                                [](void* room) { in<Stored>(room).~Stored(); }};
  template <class Stored>
  static constexpr Kind kElsewhere{[](void* room) { (*in<std::unique_ptr<Stored>>(room))(); },
                                   move_from<std::unique_ptr<Stored>>,
                                   [](void* room) { std::destroy_at(&in<std::unique_ptr<Stored>>(room)); }};

  void take(Work& other) {
    kind_ = std::exchange(other.kind_, nullptr);
    if (kind_ != nullptr) kind_->move(room_, other.room_);
  }
  void drop() {
    if (kind_ != nullptr) std::exchange(kind_, nullptr)->drop(room_);
  }

  const Kind* kind_ = nullptr;
  alignas(std::max_align_t) std::byte room_[80];
};

}  // namespace pgkeel::simulation
