#include "test/support/nbd_server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "core/base/file.h"

namespace vzv::test {

namespace {

bool accepts(const std::string& socket_path) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

NbdServer::NbdServer(std::vector<std::string> command) : socket_(directory_ / "nbd.sock") {
  for (std::string& word : command) {
    const auto at = word.find("SOCKET");
    if (at != std::string::npos) word.replace(at, 6, socket_);
  }
  process_ = ChildProcess(command);
  for (int i = 0; i < 1'000; ++i) {
    if (accepts(socket_)) return;
    if (!process_.running()) throw std::runtime_error("ended at once, or is not installed: " + command.front());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("does not accept connections: " + command.front());
}

std::vector<std::string> qemu_nbd(const std::string& image, const std::string& format, const std::string& export_name) {
  return {"qemu-nbd",
          "--read-only",
          "--persistent",
          "--shared=8",
          "--socket=SOCKET",
          "--format=" + format,
          "--export-name=" + export_name,
          image};
}

std::vector<std::string> nbdkit(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"nbdkit", "--foreground", "--unix=SOCKET"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

}  // namespace vzv::test
