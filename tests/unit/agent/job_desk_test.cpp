#include "replication/agent/job_desk.h"

#include <filesystem>
#include <future>
#include <latch>

#include <doctest/doctest.h>

#include "proxy/io/durable_file.h"
#include "replication/agent/notice_board.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait_until.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

JobRequest request(const std::string& id, JobKind kind = JobKind::kFence) {
  JobRequest request;
  request.id = id;
  request.kind = kind;
  request.node = "a";
  request.address = {"10.0.0.1", 5432};
  if (kind == JobKind::kRejoin) {
    request.upstream.emplace();
    request.upstream->password = "secret";
  }
  return request;
}

// A desk whose jobs end when they are told to.
struct Desk {
  explicit Desk(
      std::string path,
      JobDesk::Write write = [](const auto& path, const auto& content) { return write_durably(path, content); })
      : file(std::move(path)) {
    auto opened = JobDesk::open(
        file,
        [this](const JobRequest& order, const NodeHost::Progress& progress, const std::stop_token&) {
          ++worked;
          progress("began " + order.id);
          go_on.get_future().wait();
          go_on = {};
          progress("goes on");
          JobOutcome outcome;
          outcome.succeeded = succeeds;
          outcome.message = "as told";
          return outcome;
        },
        [this] { ++changes; }, std::move(write));
    REQUIRE_MESSAGE(opened, opened.error().message);
    desk = std::move(*opened);
  }

  JobRecord finish(const std::string& id) {
    go_on.set_value();
    for (std::uint64_t lines = 0;;) {
      const auto record = desk->find(id, lines, 10s);
      REQUIRE(record);
      if (record->state != JobState::kRunning) return *record;
      lines = record->lines_before + record->lines.size();
    }
  }

  std::string file;
  std::promise<void> go_on;
  bool succeeds = true;
  std::atomic<int> worked{0};
  std::atomic<int> changes{0};
  std::unique_ptr<JobDesk> desk;
};

}  // namespace

TEST_CASE("one job at a time: the same id, or the same work, is the same job, and any other is refused") {
  const test::TemporaryFolder folder;
  Desk desk(folder.path() + "/jobs.json");
  const auto first = desk.desk->submit(request("1"));
  REQUIRE(first);
  CHECK(first->accepted);
  CHECK(first->record.state == JobState::kRunning);
  CHECK(desk.desk->submit(request("1"))->accepted);
  const auto same_work = desk.desk->submit(request("2"));
  CHECK(same_work->accepted);
  CHECK(same_work->record.id == "1");
  const auto other = desk.desk->submit(request("3", JobKind::kStop));
  CHECK_FALSE(other->accepted);
  CHECK(other->record.id == "1");
  CHECK(desk.desk->running()->id == "1");

  const auto ended = desk.finish("1");
  CHECK(ended.state == JobState::kDone);
  CHECK(ended.message == "as told");
  CHECK(desk.worked == 1);
  CHECK_FALSE(desk.desk->running());
  // Asked again after its end, it is still the same job.
  CHECK(desk.desk->submit(request("1"))->record.state == JobState::kDone);
  CHECK(desk.worked == 1);
  CHECK_FALSE(desk.desk->find("2", 0, 0s));

  desk.succeeds = false;
  REQUIRE(desk.desk->submit(request("4", JobKind::kStop))->accepted);
  CHECK(desk.finish("4").state == JobState::kFailed);
  CHECK(test::wait_until([&] { return desk.changes == 4; }));  // told after whoever waits for the end
}

TEST_CASE("from the first order of a term on those of older terms are refused, also what is known or runs") {
  const test::TemporaryFolder folder;
  Desk desk(folder.path() + "/jobs.json");
  const auto submit = [&](const std::string& id, std::uint64_t term, JobKind kind = JobKind::kFence) {
    auto order = request(id, kind);
    order.term = term;
    const auto admission = desk.desk->submit(order);
    REQUIRE(admission);
    return *admission;
  };
  CHECK(submit("old", 7).accepted);
  CHECK(submit("of both", 9).record.id == "old");  // the same work
  for (const char* id : {"old", "too late"}) {
    const auto late = submit(id, 7);
    CHECK_FALSE(late.accepted);
    CHECK(late.later_term == 9);
  }
  desk.finish("old");
  CHECK(submit("too late", 8, JobKind::kStart).later_term == 9);
  CHECK(desk.worked == 1);
  CHECK_FALSE(desk.desk->find("too late", 0, 0s));

  // A pgkeel that is alone has no term; whoever set it up is meant.
  CHECK(submit("alone", 0, JobKind::kStart).accepted);
  desk.finish("alone");
  CHECK(submit("of the leader", 9, JobKind::kStop).accepted);
  desk.finish("of the leader");
  CHECK(desk.worked == 3);
}

TEST_CASE("progress is told from where the caller is") {
  const test::TemporaryFolder folder;
  Desk desk(folder.path() + "/jobs.json");
  REQUIRE(desk.desk->submit(request("1")));
  const auto begun = desk.desk->find("1", 0, 10s);
  REQUIRE(begun);
  CHECK(begun->lines == std::vector<std::string>{"began 1"});
  CHECK(desk.desk->find("1", 1, 1ms)->lines.empty());
  desk.finish("1");
  const auto rest = desk.desk->find("1", 1, 0s);
  CHECK(rest->lines_before == 1);
  CHECK(rest->lines == std::vector<std::string>{"goes on"});
  CHECK(desk.desk->find("1", 99, 0s)->lines.empty());
}

TEST_CASE("a job that was cut off with its agent is interrupted, for whoever asks, and no password was kept") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/jobs.json";
  const std::string as_cut_off = folder.path() + "/cut_off.json";
  {
    Desk desk(file);
    REQUIRE(desk.desk->submit(request("1")));
    desk.finish("1");
    REQUIRE(desk.desk->submit(request("2", JobKind::kRejoin)));
    std::filesystem::copy_file(file, as_cut_off);  // what a SIGKILL would leave
    desk.finish("2");
  }
  CHECK(read_file(as_cut_off)->find("secret") == std::string::npos);
  Desk after(as_cut_off);
  REQUIRE(after.desk->interrupted().size() == 1);
  CHECK(after.desk->interrupted().front().id == "2");
  CHECK(after.desk->find("1", 0, 0s)->state == JobState::kDone);
  CHECK(after.desk->find("2", 0, 0s)->state == JobState::kInterrupted);
  CHECK_FALSE(after.desk->running());
  CHECK(Desk(as_cut_off).desk->interrupted().empty());  // it is told once
}

TEST_CASE("an agent that ends gives up its job, durably, and begins no other") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/jobs.json";
  Desk desk(file);
  REQUIRE(desk.desk->submit(request("1")));
  REQUIRE(desk.desk->find("1", 0, 10s));
  desk.desk->give_up();
  CHECK(desk.desk->find("1", 99, 10s)->state == JobState::kInterrupted);
  CHECK(desk.desk->works());
  CHECK_FALSE(desk.desk->submit(request("2")));
  CHECK(Desk(file).desk->find("1", 0, 0s)->state == JobState::kInterrupted);
  desk.go_on.set_value();
  desk.desk->wait();
  CHECK(desk.desk->find("1", 0, 0s)->state == JobState::kInterrupted);
  CHECK_FALSE(desk.desk->works());
}

TEST_CASE("a damaged file of records is not believed, and one that can't be written begins nothing") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/jobs.json";
  REQUIRE(write_durably(file, "{\"jobs\": [{}]}"));
  const auto nothing = [](const JobRequest&, const NodeHost::Progress&, const std::stop_token&) {
    return JobOutcome();
  };
  CHECK_FALSE(JobDesk::open(file, nothing, [] {}));
  const auto nowhere = JobDesk::open(folder.path() + "/not/there.json", nothing, [] {});
  REQUIRE(nowhere);
  CHECK_FALSE((*nowhere)->submit(request("1", JobKind::kStop)));
  CHECK_FALSE((*nowhere)->running());
}

TEST_CASE("a fence waits for no disk, neither to begin nor to be told of, and is recorded all the same") {
  const test::TemporaryFolder folder;
  const std::string state = folder.path() + "/state";
  Desk desk(state + "/jobs.json");  // which cannot be written: the folder is not there yet
  const auto ordered = desk.desk->submit(request("1"));
  REQUIRE_MESSAGE(ordered, ordered.error().message);
  CHECK(ordered->accepted);
  CHECK(desk.finish("1").state == JobState::kDone);
  std::filesystem::create_directory(state);
  REQUIRE(desk.desk->submit(request("2")));
  CHECK(desk.finish("2").state == JobState::kDone);
  CHECK(test::wait_until([&] { return std::filesystem::exists(state + "/jobs.json"); }));
  CHECK(Desk(state + "/jobs.json").desk->find("1", 0, 0s)->state == JobState::kDone);
}

TEST_CASE("a fence waits for no disk while another job is being recorded, and that one begins after it") {
  const test::TemporaryFolder folder;
  std::promise<void> disk_goes_on;
  std::latch disk_hangs(1);
  std::atomic<int> writes{0};
  Desk desk(folder.path() + "/jobs.json", [&](const std::string& file, const std::string& content) {
    if (++writes == 1) {
      disk_hangs.count_down();
      disk_goes_on.get_future().wait();
    }
    return write_durably(file, content);
  });
  auto stop = std::async(std::launch::async, [&] { return desk.desk->submit(request("stop", JobKind::kStop)); });
  disk_hangs.wait();
  CHECK_FALSE(desk.desk->running());
  const auto fence = desk.desk->submit(request("fence"));
  REQUIRE_MESSAGE(fence, fence.error().message);
  CHECK(fence->accepted);
  CHECK(desk.desk->running()->id == "fence");
  SUBCASE("which has ended by then") {
    CHECK(desk.finish("fence").state == JobState::kDone);
    disk_goes_on.set_value();
    CHECK(stop.get()->accepted);
    CHECK(desk.finish("stop").state == JobState::kDone);
  }
  SUBCASE("which still runs then: it is refused, and no record of it stays") {
    disk_goes_on.set_value();
    const auto refused = stop.get();
    REQUIRE(refused);
    CHECK_FALSE(refused->accepted);
    CHECK(refused->record.id == "fence");
    CHECK(desk.finish("fence").state == JobState::kDone);
    desk.desk.reset();
    CHECK(Desk(folder.path() + "/jobs.json").desk->find("fence", 0, 0s)->state == JobState::kDone);
    CHECK_FALSE(Desk(folder.path() + "/jobs.json").desk->find("stop", 0, 0s));
  }
}

TEST_CASE("an agent whose disk is full when it comes back knows all the same what was cut off") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/jobs.json";
  {
    Desk cut_off(file);
    REQUIRE(cut_off.desk->submit(request("1", JobKind::kStop)));
    std::filesystem::copy(file, file + ".kept");
    cut_off.finish("1");
  }
  std::filesystem::rename(file + ".kept", file);
  Desk again(file, [](const std::string&, const std::string&) { return Result<void>(Error{"no space left"}); });
  REQUIRE(again.desk->interrupted().size() == 1);
  CHECK(again.desk->find("1", 0, 0s)->state == JobState::kInterrupted);
  REQUIRE(again.desk->submit(request("2")));  // a fence needs no room
  CHECK(again.finish("2").state == JobState::kDone);
}

TEST_CASE("notices outlive the agent, until they were heard") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/notices.json";
  {
    NoticeBoard board(file);
    board.add("one");
    board.add("two");
    board.heard(1);
  }
  NoticeBoard board(file);
  REQUIRE(board.notices().size() == 1);
  CHECK(board.notices().front().number == 2);
  CHECK(board.notices().front().text.ends_with(": two"));
  board.heard(2);
  CHECK(NoticeBoard(file).notices().empty());
  board.add("three");
  CHECK(NoticeBoard(file).notices().front().number == 3);
  REQUIRE(write_durably(file, "damaged"));
  NoticeBoard anew(file);
  anew.add("four");
  CHECK(anew.notices().front().number > 3);
}
