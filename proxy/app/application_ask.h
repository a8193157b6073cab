// Application::ask() and ask_later(), for the files that ask the control thread from other threads.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "proxy/app/application.h"

namespace pgkeel {

inline constexpr Duration kAnswerLimit = std::chrono::seconds(2);  // for it to begin
inline constexpr Duration kEndLook = std::chrono::milliseconds(50);

template <class Answer>
std::optional<Answer> Application::ask(std::function<Answer()> question) {
  return ask_later<Answer>(
      [question = std::move(question)](const std::function<void(Answer)>& answer) { answer(question()); });
}

template <class Answer>
std::optional<Answer> Application::ask_later(std::function<void(std::function<void(Answer)>)> question) {
  struct Asked {
    std::promise<Answer> answer;
    std::atomic<bool> taken{false};  // by the control thread to answer it, or by us to take it back
  };
  if (has_ended_) return std::nullopt;
  const auto asked = std::make_shared<Asked>();
  auto future = asked->answer.get_future();
  wakeup_->post([asked, question = std::move(question)] {
    if (asked->taken.exchange(true)) return;
    question([asked](Answer answer) { asked->answer.set_value(std::move(answer)); });
  });
  for (Duration waited{}; future.wait_for(kEndLook) != std::future_status::ready; waited += kEndLook) {
    if (has_ended_) return std::nullopt;
    if (waited >= kAnswerLimit && !asked->taken.exchange(true)) return std::nullopt;
  }
  return future.get();
}

}  // namespace pgkeel
