// Does the driver find a bug at all? A decoder with a planted one: it believes a length that it read. The program
// succeeds when the driver finds that within the given time, and fails when it does not.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

namespace {

// magic "CNRY" ‖ u16 version 1 ‖ u32 length ‖ length bytes
Bytes canary() {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.magic("CNRY");
  writer.u16(1);
  writer.u32(8);
  writer.bytes(as_bytes("tweetwee"));
  return bytes;
}

}  // namespace

std::vector<Bytes> fuzz::samples() { return {canary()}; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader reader({data, size});
  if (!reader.magic("CNRY") || reader.u16() != 1) return 0;
  const std::uint32_t length = reader.u32();
  if (!reader.ok() || length > 1000) return 0;  // looks careful, and is not: nothing compares it with what is there
  FUZZ_CHECK(length <= reader.remaining());
  return 0;
}

int main(int argc, char** argv) {
  const fuzz::Options options = fuzz::parse_options(argc, argv, "fuzz_canary");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);  // the failure that is wanted is not shown
    fuzz::run(options);
    ::_exit(0);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return 2;
  const bool found = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  std::printf(found ? "the planted bug was found\n" : "the planted bug was not found\n");
  return found ? 0 : 1;
}
