#include "proxy/cli/check.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

using namespace pgkeel;

namespace {

Config two_nodes() {
  Config config;
  ClusterConfig cluster;
  cluster.name = "orders";
  cluster.nodes.resize(2);
  config.clusters.push_back(cluster);
  return config;
}

PasswordFileFacts good_file() {
  return {.key = "k", .path = "/p", .error_number = 0, .is_regular = true, .size_bytes = 9, .mode = 0600};
}

CheckReport report_on(const PasswordFileFacts& file) {
  return check_report("f.toml", two_nodes(), {file});
}

// Gone at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "pgkeel-check-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("a good configuration is counted in one line") {
  const CheckReport report = report_on(good_file());
  CHECK(report.exit_status == 0);
  CHECK(report.problems.empty());
  CHECK(report.summary == "f.toml: ok: 1 cluster, 2 nodes\n");
}

TEST_CASE("problems of the configuration are told, one a line, and nothing is ok then") {
  const CheckReport report = check_report(
      "f.toml", std::vector<Problem>{{"f.toml", {3, 4}, "x: is missing"}, {"f.toml", {}, "cannot be read"}}, {});
  CHECK(report.exit_status == 1);
  CHECK(report.problems == "f.toml:3:4: x: is missing\nf.toml: cannot be read\n");
  CHECK(report.summary.empty());
}

TEST_CASE("a password file that is missing, empty or no file is an error") {
  PasswordFileFacts file = good_file();
  file.error_number = ENOENT;
  CHECK(report_on(file).problems == "f.toml: k: /p: No such file or directory\n");
  CHECK(report_on(file).exit_status == 1);
  CHECK(report_on(file).summary.empty());
  file = good_file();
  file.size_bytes = 0;
  CHECK(report_on(file).problems == "f.toml: k: /p: is empty\n");
  file = good_file();
  file.is_regular = false;
  CHECK(report_on(file).problems == "f.toml: k: /p: is not a file\n");
}

TEST_CASE("a password file that others can read is a warning") {
  PasswordFileFacts file = good_file();
  file.mode = 0644;
  CHECK(report_on(file).problems == "f.toml: warning: k: /p is readable by everyone; run: chmod 600 /p\n");
  CHECK(report_on(file).exit_status == 0);
  CHECK_FALSE(report_on(file).summary.empty());
  file.mode = 0640;
  CHECK(report_on(file).problems == "f.toml: warning: k: /p is readable by its group; run: chmod 600 /p\n");
  file.owned_by_root = true;
  CHECK(report_on(file).problems.empty());
  file = good_file();
  file.error_number = EACCES;
  CHECK(report_on(file).exit_status == 0);
  CHECK(report_on(file).problems.find("warning") != std::string::npos);
}

TEST_CASE("password files are looked at where they are") {
  const TemporaryFolder folder;
  const std::string password = folder.file("password");
  std::ofstream(password) << "secret\n";
  REQUIRE(::chmod(password.c_str(), 0604) == 0);
  Config config = two_nodes();
  CHECK(look_at_password_files(config).empty());
  config.clusters[0].monitor.password_file = password;
  config.clusters[0].replication.password_file = folder.file("nowhere");
  const auto files = look_at_password_files(config);
  REQUIRE(files.size() == 2);
  CHECK(files[0].key == "cluster.orders.monitor.password_file");
  CHECK(files[0].error_number == 0);
  CHECK(files[0].is_regular);
  CHECK(files[0].size_bytes == 7);
  CHECK(files[0].mode == 0604);
  CHECK(files[1].error_number == ENOENT);
}

TEST_CASE("the command ends with 0 for a valid file and with 1 for any other") {
  const TemporaryFolder folder;
  const std::string path = folder.file("pgkeel.toml");
  CHECK(run_check({.config_path = path}) == 1);
  std::ofstream(path) << "[cluster.o]\nlisten = \"h:1\"\n[[cluster.o.node]]\nname = \"a\"\nhost = \"i\"\n";
  CHECK(run_check({.config_path = path}) == 0);
  std::ofstream(path, std::ios::app) << "surprise = 1\n";
  CHECK(run_check({.config_path = path}) == 1);
}
