// A file of an export of lost rows, for nobody else to read. Job threads.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace pgkeel {

class ExportFile {
 public:
  // Makes the folders too. Where that fails close() says so.
  explicit ExportFile(std::string path);

  void add(std::string_view text) { stream_ << text; }
  Result<void> close();

 private:
  std::string path_;
  std::ofstream stream_;
};

}  // namespace pgkeel
