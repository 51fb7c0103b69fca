// Real NBD servers for tests, each on a Unix socket of its own.
#pragma once

#include <string>
#include <vector>

#include "test/support/child_process.h"
#include "test/support/scratch.h"

namespace vzv::test {

class NbdServer {
 public:
  // The program with its arguments, "SOCKET" standing for the socket. Returns when it accepts connections; throws
  // std::runtime_error where it does not within ten seconds.
  explicit NbdServer(std::vector<std::string> command);

  const std::string& socket() const { return socket_; }
  std::string uri(const std::string& export_name = "") const {
    return "nbd+unix:///" + export_name + "?socket=" + socket_;
  }
  ChildProcess& process() { return process_; }

 private:
  ScratchDirectory directory_;
  std::string socket_;
  ChildProcess process_;
};

// qemu-nbd over an image, read-only, any number of clients after one another.
std::vector<std::string> qemu_nbd(const std::string& image, const std::string& format = "raw",
                                  const std::string& export_name = "");
// nbdkit in the foreground with these plugins, filters and parameters.
std::vector<std::string> nbdkit(const std::vector<std::string>& arguments);

}  // namespace vzv::test
