// What may be found after a power cut: the trees of files that a sequence of file calls can leave behind.
//
// The rules, those of POSIX and no better file system: a file's bytes are sure once the file was synced; until then
// each of them is there, lost (the file is shorter) or zero. A name that was made, changed or removed is sure once its
// directory was synced; until then any of a directory's changes may be lost while later ones are kept, and a rename
// between two directories may have happened in one of them only. A rename over a name is one change: the old or the new
// file is there.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "test/crash/file_recorder.h"

namespace vzv::test {

// Files by name; directories have a null.
using FileTree = std::map<std::string, std::shared_ptr<const Bytes>>;

// Makes it below an empty directory.
void build_tree(const FileTree& tree, const std::string& directory);
// The same for trees with the same files.
Id digest_of(const FileTree& tree);

class CrashStates {
 public:
  CrashStates();

  // The next event of the sequence.
  void apply(const FileEvent& event);

  // Everything as it was seen by the program: it was killed, the machine went on.
  FileTree killed() const;
  // Nothing that was not sure.
  FileTree all_lost() const;
  // States of a power cut now: all kept and all lost, with the bytes of files there, missing, zero and torn; each
  // change of a directory lost alone and kept alone; suffixes of the changes of each directory; and `samples` random
  // ones.
  void for_each(std::mt19937_64& random, unsigned samples, const std::function<void(const FileTree&)>& visit) const;

 private:
  // A change of entries that happens as a whole: what has these names from then on; 0 is nothing.
  using Change = std::vector<std::pair<std::string, std::uint64_t>>;
  struct Directory {
    std::map<std::string, std::uint64_t> sure;
    std::vector<Change> unsure;
    std::map<std::string, std::uint64_t> now;
  };
  struct File {
    std::shared_ptr<const Bytes> sure;
    std::shared_ptr<const Bytes> now;
  };
  // Which changes of which directory are kept, and what unsynced bytes became.
  struct Choice {
    std::function<bool(std::uint64_t directory, std::size_t change)> keeps;
    std::function<std::shared_ptr<const Bytes>(const File&)> bytes;
  };

  std::uint64_t directory_at(const std::string& name) const;
  std::uint64_t parent_of(const std::string& name, std::string& last) const;
  void change(std::uint64_t directory, Change change);
  void rename(const FileEvent& event);
  FileTree tree(const Choice& choice) const;
  void add_directory(FileTree& tree, std::uint64_t directory, const std::string& prefix, const Choice& choice) const;
  void for_each_bytes(const std::function<void(decltype(Choice::bytes))>& visit, std::mt19937_64& random) const;

  std::map<std::uint64_t, Directory> directories_;  // by number; 1 is the uppermost
  std::map<std::uint64_t, File> files_;             // by number
  std::map<std::uint64_t, std::uint64_t> numbers_;  // of a file in the events: its number here
  std::uint64_t next_ = 2;
};

}  // namespace vzv::test
