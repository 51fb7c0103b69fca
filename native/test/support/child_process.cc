#include "test/support/child_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

namespace vzv::test {

namespace {

constexpr int kNotInstalled = 127;

std::string joined(const std::vector<std::string>& command) {
  std::string text;
  for (const std::string& word : command) text += (text.empty() ? "" : " ") + word;
  return text;
}

pid_t start(const std::vector<std::string>& command, int output) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no server outlives a test that crashed
  if (output >= 0) ::dup2(output, STDOUT_FILENO);
  ::execvp(arguments[0], arguments.data());
  ::_exit(kNotInstalled);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

void check_success(int status, const std::vector<std::string>& command) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  const bool missing = WIFEXITED(status) && WEXITSTATUS(status) == kNotInstalled;
  throw std::runtime_error((missing ? "not installed: " : "failed: ") + joined(command));
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& command) : pid_(start(command, -1)) {}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    kill();
    pid_ = std::exchange(other.pid_, -1);
  }
  return *this;
}

bool ChildProcess::running() {
  if (pid_ < 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

void ChildProcess::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void ChildProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  wait_for(std::exchange(pid_, -1));
}

void run(const std::vector<std::string>& command) { check_success(wait_for(start(command, -1)), command); }

std::string output_of(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
  const pid_t pid = start(command, ends[1]);
  ::close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(got));
  ::close(ends[0]);
  check_success(wait_for(pid), command);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace vzv::test
