#include "proxy/io/certificates.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "proxy/io/clock.h"
#include "tests/support/temporary_folder.h"

using namespace pgkeel;
using namespace std::chrono_literals;

namespace {

Validity valid_for(Duration from_now_on) {
  return {wall_now() - 48h, wall_now() + from_now_on};
}

struct Files {
  test::TemporaryFolder folder;
  std::string write(const std::string& name, const std::string& text) const {
    const auto path = folder.path() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  // What check_certificate_files() says; empty: all is well.
  [[nodiscard]] std::string check(const KeyedCertificate& authority, const KeyedCertificate& certificate,
                                  CertificateRole role) const {
    const auto checked = check_certificate_files(write("ca.crt", authority.certificate_pem),
                                                 write("own.crt", certificate.certificate_pem),
                                                 write("own.key", certificate.key_pem), role);
    return checked ? "" : checked.error().message;
  }
};

}  // namespace

TEST_CASE("what an authority issues holds for its role and for no other") {
  const auto authority = make_authority(valid_for(24h)).value();
  const auto proxy = issue_certificate(authority, {CertificateRole::kProxy, {}, valid_for(24h)}).value();
  const auto agent =
      issue_certificate(authority, {CertificateRole::kAgent, {"db1.example", "10.0.0.1", "fd00::1"}, valid_for(24h)})
          .value();
  const Files files;
  CHECK(files.check(authority, proxy, CertificateRole::kProxy).empty());
  CHECK(files.check(authority, agent, CertificateRole::kAgent).empty());
  CHECK(files.check(authority, agent, CertificateRole::kProxy).find("purpose") != std::string::npos);
  CHECK(files.check(authority, proxy, CertificateRole::kAgent).find("purpose") != std::string::npos);
}

TEST_CASE("the end of what holds is that of the certificate that ends first") {
  const auto authority = make_authority(valid_for(240h)).value();
  const auto proxy = issue_certificate(authority, {CertificateRole::kProxy, {}, valid_for(24h)}).value();
  const Files files;
  REQUIRE(files.check(authority, proxy, CertificateRole::kProxy).empty());
  const auto until = check_certificate_files(files.folder.path() + "/ca.crt", files.folder.path() + "/own.crt",
                                             files.folder.path() + "/own.key", CertificateRole::kProxy);
  CHECK(*until > wall_now() + 23h);
  CHECK(*until < wall_now() + 25h);
}

TEST_CASE("an expired certificate, a strange authority, a strange key and no certificate are refused by name") {
  const auto authority = make_authority(valid_for(24h)).value();
  const auto other = make_authority(valid_for(24h)).value();
  const auto proxy = issue_certificate(authority, {CertificateRole::kProxy, {}, valid_for(24h)}).value();
  const auto expired = issue_certificate(authority, {CertificateRole::kProxy, {}, valid_for(-24h)}).value();
  const auto strange = issue_certificate(other, {CertificateRole::kProxy, {}, valid_for(24h)}).value();
  const Files files;
  CHECK(files.check(authority, expired, CertificateRole::kProxy).find("expired") != std::string::npos);
  CHECK(files.check(authority, strange, CertificateRole::kProxy).find("does not hold against") != std::string::npos);
  CHECK(files.check(authority, {proxy.certificate_pem, strange.key_pem}, CertificateRole::kProxy)
            .find("is not the key of") != std::string::npos);
  CHECK(files.check(authority, {"nonsense", proxy.key_pem}, CertificateRole::kProxy).find("holds no certificate") !=
        std::string::npos);
  CHECK(files.check(authority, {proxy.certificate_pem, "nonsense"}, CertificateRole::kProxy)
            .find("holds no private key") != std::string::npos);
  CHECK_FALSE(issue_certificate({authority.certificate_pem, other.key_pem}, {CertificateRole::kProxy, {}, {}}));
}

TEST_CASE("of a text with several certificates the first and the last end are told") {
  const WallTime now = wall_now();
  const auto until = [&](Duration from_now_on) {
    return make_authority({now, now + from_now_on}).value().certificate_pem;
  };
  const auto ends = certificate_ends(until(48h) + until(24h) + until(72h));
  REQUIRE(ends);
  const auto is_about = [&](WallTime end, Duration from_now_on) { return now + from_now_on - end < 1s; };
  CHECK(is_about(ends->first, 24h));
  CHECK(is_about(ends->last, 72h));
  CHECK_FALSE(certificate_ends("no certificate"));
}
