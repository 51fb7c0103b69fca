#include "test/crash/crash_states.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/base/sha256.h"

namespace vzv::test {

namespace {

constexpr std::size_t kBlockBytes = 4096;

using BytesPtr = std::shared_ptr<const Bytes>;

BytesPtr cut(const BytesPtr& bytes, std::size_t length) {
  return std::make_shared<const Bytes>(bytes->begin(), bytes->begin() + static_cast<std::ptrdiff_t>(length));
}

// As long as `now`, with zeroes behind what is sure.
BytesPtr zeroed(const BytesPtr& sure, const BytesPtr& now) {
  Bytes bytes = *sure;
  bytes.resize(now->size());
  return std::make_shared<const Bytes>(std::move(bytes));
}

// As `now`, with some of the blocks behind what is sure full of zeroes.
BytesPtr torn_in_blocks(const BytesPtr& sure, const BytesPtr& now, std::uint64_t seed) {
  Bytes bytes = *now;
  std::mt19937_64 random(seed);
  for (std::size_t block = 0; block < bytes.size(); block += kBlockBytes) {
    if (random() % 2 == 0) continue;
    for (std::size_t at = std::max(block, sure->size()); at < std::min(block + kBlockBytes, bytes.size()); ++at) {
      bytes[at] = 0;
    }
  }
  return std::make_shared<const Bytes>(std::move(bytes));
}

}  // namespace

void build_tree(const FileTree& tree, const std::string& directory) {
  for (const auto& [name, bytes] : tree) {
    const std::string path = directory + "/" + name;
    if (bytes == nullptr) {
      std::filesystem::create_directory(path);
      continue;
    }
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes->data()), static_cast<std::streamsize>(bytes->size()));
    file.close();
    if (!file) std::abort();
  }
}

Id digest_of(const FileTree& tree) {
  Sha256 hash;
  for (const auto& [name, bytes] : tree) {
    const std::string line = name + (bytes ? "\n" + std::to_string(bytes->size()) : "/") + "\n";
    hash.update({reinterpret_cast<const std::uint8_t*>(line.data()), line.size()});
    if (bytes) hash.update(*bytes);
  }
  return hash.finish();
}

CrashStates::CrashStates() { directories_[1] = {}; }

std::uint64_t CrashStates::directory_at(const std::string& name) const {
  std::uint64_t at = 1;
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    at = directories_.at(at).now.at(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return at;
}

std::uint64_t CrashStates::parent_of(const std::string& name, std::string& last) const {
  const std::size_t slash = name.rfind('/');
  last = slash == std::string::npos ? name : name.substr(slash + 1);
  return directory_at(slash == std::string::npos ? "" : name.substr(0, slash));
}

void CrashStates::change(std::uint64_t directory, Change change) {
  Directory& changed = directories_.at(directory);
  for (const auto& [name, number] : change) {
    if (number == 0) {
      changed.now.erase(name);
    } else {
      changed.now[name] = number;
    }
  }
  changed.unsure.push_back(std::move(change));
}

void CrashStates::rename(const FileEvent& event) {
  std::string from, to;
  const std::uint64_t old_directory = parent_of(event.name, from);
  const std::uint64_t new_directory = parent_of(event.to, to);
  const std::uint64_t number = directories_.at(old_directory).now.at(from);
  if (old_directory == new_directory) {
    change(old_directory, {{from, 0}, {to, number}});
    return;
  }
  change(new_directory, {{to, number}});
  change(old_directory, {{from, 0}});
}

void CrashStates::apply(const FileEvent& event) {
  std::string last;
  switch (event.call) {
    case FileCall::kCreate: {
      const std::uint64_t parent = parent_of(event.name, last);
      const auto empty = std::make_shared<const Bytes>();
      files_[next_] = {empty, empty};
      numbers_[event.file] = next_;
      change(parent, {{last, next_++}});
      return;
    }
    case FileCall::kMakeDirectory: {
      const std::uint64_t parent = parent_of(event.name, last);
      directories_[next_] = {};
      change(parent, {{last, next_++}});
      return;
    }
    case FileCall::kWrite: {
      File& file = files_.at(numbers_.at(event.file));
      Bytes bytes = *file.now;
      bytes.insert(bytes.end(), event.bytes.begin(), event.bytes.end());
      file.now = std::make_shared<const Bytes>(std::move(bytes));
      return;
    }
    case FileCall::kSyncFile: {
      File& file = files_.at(numbers_.at(event.file));
      file.sure = file.now;
      return;
    }
    case FileCall::kSyncDirectory: {
      Directory& directory = directories_.at(directory_at(event.name));
      directory.sure = directory.now;
      directory.unsure.clear();
      return;
    }
    case FileCall::kRename:
      rename(event);
      return;
    case FileCall::kLink: {
      const std::uint64_t parent = parent_of(event.name, last);
      const std::uint64_t number = directories_.at(parent).now.at(last);
      const std::uint64_t new_parent = parent_of(event.to, last);
      change(new_parent, {{last, number}});
      return;
    }
    case FileCall::kUnlink:
    case FileCall::kRemoveDirectory: {
      const std::uint64_t parent = parent_of(event.name, last);
      change(parent, {{last, 0}});
      return;
    }
    case FileCall::kClose:
      return;
  }
}

void CrashStates::add_directory(FileTree& tree, std::uint64_t directory, const std::string& prefix,
                                const Choice& choice) const {
  const Directory& chosen = directories_.at(directory);
  std::map<std::string, std::uint64_t> entries = chosen.sure;
  for (std::size_t n = 0; n < chosen.unsure.size(); ++n) {
    if (!choice.keeps(directory, n)) continue;
    for (const auto& [name, number] : chosen.unsure[n]) {
      if (number == 0) {
        entries.erase(name);
      } else {
        entries[name] = number;
      }
    }
  }
  for (const auto& [name, number] : entries) {
    if (const auto file = files_.find(number); file != files_.end()) {
      tree[prefix + name] = choice.bytes(file->second);
      continue;
    }
    tree[prefix + name] = nullptr;
    add_directory(tree, number, prefix + name + "/", choice);
  }
}

FileTree CrashStates::tree(const Choice& choice) const {
  FileTree tree;
  add_directory(tree, 1, "", choice);
  return tree;
}

FileTree CrashStates::killed() const {
  return tree({[](auto, auto) { return true; }, [](const File& file) { return file.now; }});
}

FileTree CrashStates::all_lost() const {
  return tree({[](auto, auto) { return false; }, [](const File& file) { return file.sure; }});
}

void CrashStates::for_each_bytes(const std::function<void(decltype(Choice::bytes))>& visit,
                                 std::mt19937_64& random) const {
  visit([](const File& file) { return file.now; });
  visit([](const File& file) { return file.sure; });
  visit([](const File& file) { return zeroed(file.sure, file.now); });
  const std::uint64_t seed = random();
  visit([seed](const File& file) { return torn_in_blocks(file.sure, file.now, seed); });
  visit([seed](const File& file) {
    return cut(file.now, file.sure->size() + seed % (file.now->size() - file.sure->size() + 1));
  });
  visit([](const File& file) {
    return cut(file.now, std::max(file.sure->size(), file.now->size() / kBlockBytes * kBlockBytes));
  });
}

void CrashStates::for_each(std::mt19937_64& random, unsigned samples,
                           const std::function<void(const FileTree&)>& visit) const {
  const auto all = [](auto, auto) { return true; };
  const auto none = [](auto, auto) { return false; };
  for_each_bytes(
      [&](const auto& bytes) {
        visit(tree({all, bytes}));
        visit(tree({none, bytes}));
      },
      random);
  const auto now = [](const File& file) { return file.now; };
  const auto sure = [](const File& file) { return file.sure; };
  for (const auto& [number, directory] : directories_) {
    for (std::size_t one = 0; one < directory.unsure.size(); ++one) {
      const auto is_it = [number = number, one](auto d, auto n) { return d == number && n == one; };
      for (const auto& bytes : {decltype(Choice::bytes)(now), decltype(Choice::bytes)(sure)}) {
        visit(tree({is_it, bytes}));
        visit(tree({[&](auto d, auto n) { return !is_it(d, n); }, bytes}));
        visit(tree({[&, number = number](auto d, auto n) { return d != number || n < one; }, bytes}));
      }
    }
  }
  for (unsigned sample = 0; sample < samples; ++sample) {
    const std::uint64_t seed = random();
    const auto kept = [seed](std::uint64_t d, std::size_t n) {
      return std::mt19937_64(seed ^ (d << 20) ^ n)() % 2 == 0;
    };
    visit(tree({kept, [seed](const File& file) { return torn_in_blocks(file.sure, file.now, seed); }}));
  }
}

}  // namespace vzv::test
