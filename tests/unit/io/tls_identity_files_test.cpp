#include "proxy/io/tls_identity_files.h"

#include <fstream>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace std::chrono_literals;
using Change = TlsIdentityFiles::Change;

namespace {

struct Files {
  [[nodiscard]] std::string path(const std::string& name) const { return folder.path() + "/" + name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
  void write(const KeyedCertificate& made) const {
    write("own.crt", made.certificate_pem);
    write("own.key", made.key_pem);
  }
  [[nodiscard]] KeyedCertificate issue(const KeyedCertificate& by, Duration lasts = 24h) const {
    return issue_certificate(by, {CertificateRole::kAgent, {"10.0.0.1"}, {wall_now() - 1h, wall_now() + lasts}})
        .value();
  }
  [[nodiscard]] TlsIdentityFiles watch() const {
    return {path("ca.crt"), path("own.crt"), path("own.key"), CertificateRole::kAgent};
  }

  test::TemporaryFolder folder;
  KeyedCertificate authority = make_authority({wall_now() - 1h, wall_now() + 240h}).value();
};

}  // namespace

TEST_CASE("files that are renewed are used once they are complete, and not before") {
  const Files files;
  files.write("ca.crt", files.authority.certificate_pem);
  files.write(files.issue(files.authority));
  auto watched = files.watch();
  REQUIRE(watched.look_now() == Change::kReplaced);
  const auto before = watched.identity()->certificate.pem;
  CHECK(watched.look() == Change::kNone);

  const auto renewed = files.issue(files.authority, 48h);
  files.write("own.crt", renewed.certificate_pem);  // the key is not there yet
  CHECK(watched.look() == Change::kNone);           // it may still be written
  CHECK(watched.look() == Change::kUnusable);
  CHECK(watched.trouble().find("is not the key of") != std::string::npos);
  CHECK(watched.look() == Change::kNone);  // told once
  CHECK(watched.identity()->certificate.pem == before);
  files.write("own.key", renewed.key_pem);
  CHECK(watched.look() == Change::kNone);
  CHECK(watched.look() == Change::kReplaced);
  CHECK(watched.trouble().empty());
  CHECK(watched.identity()->certificate.pem == renewed.certificate_pem);
  CHECK(watched.valid_until() > wall_now() + 47h);
  CHECK(watched.look() == Change::kNone);
}

TEST_CASE("an old and a new authority are believed side by side, and the first end of the chain counts") {
  const Files files;
  const auto next = make_authority({wall_now() - 1h, wall_now() + 12h}).value();
  files.write("ca.crt", files.authority.certificate_pem + next.certificate_pem);
  files.write(files.issue(next));
  auto watched = files.watch();
  REQUIRE_MESSAGE(watched.look_now() == Change::kReplaced, watched.trouble());
  CHECK(watched.valid_until() < wall_now() + 13h);
  files.write("ca.crt", files.authority.certificate_pem);
  CHECK(watched.look_now() == Change::kUnusable);
  CHECK(watched.trouble().find("does not hold against") != std::string::npos);
}

TEST_CASE("what is not there, or ended, is a trouble, and its renewal ends that") {
  const Files files;
  auto watched = files.watch();
  CHECK(watched.look_now() == Change::kUnusable);
  CHECK_FALSE(watched.identity());
  files.write("ca.crt", files.authority.certificate_pem);
  files.write(files.issue(files.authority, -1min));
  CHECK(watched.look_now() == Change::kUnusable);
  CHECK(watched.trouble().find("expired") != std::string::npos);
  files.write(files.issue(files.authority));
  CHECK(watched.look_now() == Change::kReplaced);
}
