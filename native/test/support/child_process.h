// A program that a test starts and ends: killed by its own pid when the test leaves, whatever way it leaves.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace vzv::test {

class ChildProcess {
 public:
  ChildProcess() = default;
  // Standard output and error are the test's own. Throws std::runtime_error where the program is not installed.
  explicit ChildProcess(const std::vector<std::string>& command);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess() { kill(); }

  bool running();
  void signal(int number) const;
  // SIGKILL, and waits for its end.
  void kill();

 private:
  pid_t pid_ = -1;
};

// Runs a program to its end. Throws std::runtime_error where it is not installed or fails.
void run(const std::vector<std::string>& command);
// The same; what it printed, without the last newline.
std::string output_of(const std::vector<std::string>& command);

}  // namespace vzv::test
