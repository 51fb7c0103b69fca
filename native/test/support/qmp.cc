#include "test/support/qmp.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace vzv::test {

QmpClient::QmpClient(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  for (int i = 0; i < 1'000; ++i) {
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      read_line();  // the greeting
      run("qmp_capabilities");
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("no monitor at " + socket_path);
}

std::string QmpClient::read_line() {
  while (received_.find('\n') == std::string::npos) {
    char buffer[4096];
    const ssize_t got = ::read(fd_.get(), buffer, sizeof buffer);
    if (got <= 0) throw std::runtime_error("the monitor closed the connection");
    received_.append(buffer, static_cast<std::size_t>(got));
  }
  const std::size_t end = received_.find('\n');
  std::string line = received_.substr(0, end);
  received_.erase(0, end + 1);
  return line;
}

std::string QmpClient::run(const std::string& name, const std::string& arguments) {
  const std::string command = "{\"execute\": \"" + name + "\", \"arguments\": " + arguments + "}\n";
  if (write_all(fd_.get(), {reinterpret_cast<const std::uint8_t*>(command.data()), command.size()}) != 0) {
    throw std::runtime_error("the monitor takes no commands");
  }
  while (true) {
    std::string line = read_line();
    if (line.find("\"error\"") != std::string::npos) throw std::runtime_error(name + ": " + line);
    // Events come in between.
    if (line.find("\"return\"") != std::string::npos) return line;
  }
}

}  // namespace vzv::test
