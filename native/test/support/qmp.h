// Commands to a qemu-storage-daemon that a test started.
#pragma once

#include <string>

#include "core/base/file.h"

namespace vzv::test {

class QmpClient {
 public:
  // Waits until the socket takes connections; throws std::runtime_error where it does not within ten seconds.
  explicit QmpClient(const std::string& socket_path);

  // Runs {"execute": name, "arguments": arguments}; `arguments` is JSON. The answer's line; throws where it is an
  // error.
  std::string run(const std::string& name, const std::string& arguments = "{}");

 private:
  std::string read_line();

  UniqueFd fd_;
  std::string received_;
};

}  // namespace vzv::test
