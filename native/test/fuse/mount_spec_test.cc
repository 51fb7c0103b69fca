#include "fuse/mount_spec.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/base/limits.h"

using vzv::Code;
using vzv::Status;
using vzv::fuse::MountSpec;
using vzv::fuse::parse_mount_spec;
using vzv::fuse::read_mount_spec;
using vzv::fuse::VolumeSpec;
using Json = nlohmann::json;

namespace {

const std::string kRoot(64, 'a');

Json good() {
  return {{"version", 1},
          {"repository", "/mnt/x/vzvault"},
          {"cacheDirectory", "/var/cache/vzvault/x"},
          {"cacheBytes", 67108864},
          {"allowOther", true},
          {"nodes",
           {{{"path", "qemu/100/drive-scsi0.raw"},
             {"modifiedSeconds", 1795320000},
             {"volume", {{"sizeBytes", 540672}, {"chunkSizeBytes", 524288}, {"levels", 1}, {"rootId", kRoot}}}},
            {{"path", "guest.conf"}, {"contentBase64", "Zm9v"}}}}};
}

std::string refusal(const std::string& text) {
  const auto spec = parse_mount_spec(text);
  if (spec.ok()) return "accepted";
  CHECK(spec.status().code() == Code::E_ARGUMENT_INVALID);
  return spec.status().message();
}

std::string refusal(const Json& json) { return refusal(json.dump()); }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("takes a spec with all its fields") {
  const auto spec = parse_mount_spec(good().dump());
  REQUIRE(spec.ok());
  CHECK(spec->repository == "/mnt/x/vzvault");
  CHECK(spec->cache_directory == "/var/cache/vzvault/x");
  CHECK(spec->cache_bytes == 67108864);
  CHECK(spec->allow_other);
  REQUIRE(spec->nodes.size() == 2);
  CHECK(spec->nodes[0].path == "qemu/100/drive-scsi0.raw");
  CHECK(spec->nodes[0].modified_seconds == 1795320000);
  const auto& volume = std::get<VolumeSpec>(spec->nodes[0].content);
  CHECK(volume.geometry.size_bytes == 540672);
  CHECK(volume.root.hex() == kRoot);
  CHECK(std::get<vzv::Bytes>(spec->nodes[1].content) == vzv::Bytes{'f', 'o', 'o'});
}

TEST_CASE("fills in what may be left out") {
  Json json = good();
  json.erase("cacheBytes");
  json.erase("allowOther");
  const auto spec = parse_mount_spec(json.dump());
  REQUIRE(spec.ok());
  CHECK(spec->cache_bytes == vzv::limits::kMountCacheDefaultBytes);
  CHECK_FALSE(spec->allow_other);
  CHECK(spec->nodes[1].modified_seconds == 0);
}

TEST_CASE("refuses what is not JSON, or more than JSON that a spec can be") {
  CHECK(contains(refusal(std::string()), "not JSON"));
  CHECK(contains(refusal(std::string("{")), "not JSON"));
  CHECK(contains(refusal(good().dump() + "x"), "not JSON"));
  CHECK(contains(refusal(std::string("\xff\xfe{}")), "not JSON"));
  CHECK(contains(refusal(std::string("{\"version\":1,\"version\":1}")), "twice"));
  CHECK(contains(refusal(std::string(1 << 20, '[')), "nested too deeply"));
  CHECK(contains(refusal("[" + std::string(14'000'000, ' ') + "]"), "not an object"));
  std::string many = "[0";
  for (std::size_t i = 0; i < vzv::limits::kMountSpecValuesMax; ++i) many += ",0";
  CHECK(contains(refusal(many + "]"), "values"));
  for (const char* other : {"null", "1", "\"x\"", "[]", "true"})
    CHECK(contains(refusal(std::string(other)), "not an object"));
}

TEST_CASE("names the field that is wrong") {
  const auto with = [](const char* pointer, const Json& value) {
    Json json = good();
    json[Json::json_pointer(pointer)] = value;
    return refusal(json);
  };
  CHECK(contains(with("/version", 2), "version is 2"));
  CHECK(contains(with("/version", "1"), "version"));
  CHECK(contains(with("/repository", "mnt"), "repository"));
  CHECK(contains(with("/repository", std::string("/a\0b", 4)), "repository"));
  CHECK(contains(with("/cacheDirectory", 7), "cacheDirectory"));
  CHECK(contains(with("/cacheBytes", 0), "cacheBytes"));
  CHECK(contains(with("/cacheBytes", 1e6), "cacheBytes"));
  CHECK(contains(with("/cacheBytes", -1), "cacheBytes"));
  CHECK(contains(with("/allowOther", 1), "allowOther"));
  CHECK(contains(with("/allowRoot", true), "unknown field"));
  CHECK(contains(with("/nodes", Json::object()), "nodes"));
  CHECK(contains(with("/nodes/0", 1), "node 0"));
  CHECK(contains(with("/nodes/1/mode", 7), "node 1 has an unknown field"));
  CHECK(contains(with("/nodes/1/contentBase64", "Zg"), "base64"));
  CHECK(contains(with("/nodes/1/contentBase64", Json()), "contentBase64"));
  CHECK(contains(with("/nodes/0/contentBase64", ""), "needs one of"));
  CHECK(contains(with("/nodes/0/modifiedSeconds", -5), "modifiedSeconds"));
  CHECK(contains(with("/nodes/0/volume/sizeBytes", -1), "sizeBytes"));
  CHECK(contains(with("/nodes/0/volume/sizeBytes", 1ULL << 60), "sizeBytes"));
  CHECK(contains(with("/nodes/0/volume/sizeBytes", 0), "levels") == false);
  CHECK(contains(with("/nodes/0/volume/sizeBytes", 0), "is empty and has a map"));
  CHECK(contains(with("/nodes/0/volume/chunkSizeBytes", 524287), "impossible"));
  CHECK(contains(with("/nodes/0/volume/chunkSizeBytes", 1ULL << 33), "chunkSizeBytes"));
  CHECK(contains(with("/nodes/0/volume/levels", 2), "levels"));
  CHECK(contains(with("/nodes/0/volume/rootId", std::string(64, 'A')), "rootId"));
  CHECK(contains(with("/nodes/0/volume/rootId", "aa"), "rootId"));
  CHECK(contains(with("/nodes/0/volume/root", "aa"), "unknown field"));
}

TEST_CASE("refuses paths that are not plain relative ones") {
  const auto with_path = [](const std::string& path) {
    Json json = good();
    json["nodes"][0]["path"] = path;
    return refusal(json);
  };
  for (const std::string bad :
       {"", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", "./a", "a\nb", "a\x7f"}) {
    CAPTURE(bad);
    CHECK(contains(with_path(bad), "path"));
  }
  CHECK(contains(with_path(std::string("a\0b", 3)), "control character"));
  CHECK(contains(with_path(std::string(256, 'a')), "too long"));
  CHECK(contains(with_path(std::string(5000, 'a')), "too long"));
  CHECK(with_path("..a/b../...") == "accepted");
  CHECK(with_path("ü/日本") == "accepted");
}

TEST_CASE("takes an archive as a tar file and as a tree, and refuses streams that cannot be") {
  const Json stream = {{"sizeBytes", 7}, {"levels", 2}, {"rootId", std::string(64, 'a')}};
  const Json empty = {{"sizeBytes", 0}, {"levels", 1}, {"rootId", std::string(64, '0')}};
  const auto with = [](const char* kind, const Json& archive) {
    Json spec = good();
    spec["nodes"] = {{{"path", "root"}, {kind, archive}}};
    return parse_mount_spec(spec.dump());
  };
  const auto tar = with("archiveTar", {{"data", empty}, {"catalogue", stream}});
  REQUIRE(tar.ok());
  const auto& archive = std::get<vzv::fuse::ArchiveTarSpec>(tar->nodes[0].content).archive;
  CHECK(archive.data == vzv::StreamMap());
  CHECK(archive.catalogue.size_bytes == 7);
  CHECK(archive.catalogue.levels == 2);
  REQUIRE(with("archiveTree", {{"data", stream}, {"catalogue", stream}}).ok());

  const auto refused = [&](const Json& data, const char* why) {
    const auto spec = with("archiveTree", {{"data", data}, {"catalogue", stream}});
    CHECK(spec.status().code() == Code::E_ARGUMENT_INVALID);
    CHECK(contains(spec.status().message(), why));
  };
  refused({{"sizeBytes", 0}, {"levels", 1}, {"rootId", std::string(64, 'a')}}, "data is impossible");
  refused({{"sizeBytes", 7}, {"levels", 1}, {"rootId", std::string(64, '0')}}, "data is impossible");
  refused({{"sizeBytes", 7}, {"levels", 99}, {"rootId", std::string(64, 'a')}}, "field levels is out of range");
  refused({{"sizeBytes", 7}, {"levels", 1}}, "field rootId is missing");
  refused({{"sizeBytes", 7}, {"levels", 1}, {"rootId", "x"}}, "64 lower-case hex digits");
  CHECK(contains(with("archiveTar", {{"data", stream}}).status().message(), "needs data and catalogue"));
  CHECK(contains(with("archiveTar", 7).status().message(), "is not an object"));
}

TEST_CASE("survives any change of a byte") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const std::string text = good().dump();
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = text;
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % changed.size();
      switch (random() % 3) {
        case 0:
          changed[at] = static_cast<char>(random());
          break;
        case 1:
          changed.erase(at, 1 + random() % 8);
          break;
        default:
          changed.insert(at, text.substr(random() % text.size(), 1 + random() % 8));
      }
      if (changed.empty()) changed = "{";
    }
    const auto spec = parse_mount_spec(changed);
    if (!spec.ok()) REQUIRE(spec.status().code() == Code::E_ARGUMENT_INVALID);
  }
}

TEST_CASE("reads the descriptor to its end") {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const vzv::UniqueFd read_end(ends[0]);
  const std::string sent(1'000'000, 'x');
  std::thread writer([&, fd = ends[1]] {
    vzv::write_all(fd, vzv::as_bytes(sent));
    close(fd);
  });
  const auto text = read_mount_spec(read_end.get(), 10'000);
  writer.join();
  REQUIRE(text.ok());
  CHECK(std::string_view(*text) == sent);
}

TEST_CASE("does not wait for ever for a spec that does not end, nor take one without end") {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const vzv::UniqueFd read_end(ends[0]);
  const vzv::UniqueFd write_end(ends[1]);
  CHECK(contains(read_mount_spec(read_end.get(), 20).status().message(), "does not end"));

  const vzv::UniqueFd endless = vzv::open_at(-1, "/dev/zero", 0);
  REQUIRE(endless.valid());
  CHECK(contains(read_mount_spec(endless.get(), 1'000).status().message(), "longer than"));
  CHECK(read_mount_spec(-1, 20).status().code() == Code::E_ARGUMENT_INVALID);
}
