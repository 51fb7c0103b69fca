#include "fuse/mount_spec.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/file.h"
#include "core/base/limits.h"
#include "fuse/base64.h"
#include "fuse/json_limits.h"
#include "fuse/mount_key.h"

namespace vzv::fuse {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kVersion = 1;
// The last second of the year 9999: what every program that prints times can print.
constexpr std::uint64_t kTimeMaxSeconds = 253'402'300'799;
// What a double holds exactly, as everything in the project's JSON; file offsets are signed and smaller than 2^63
// anyhow.
constexpr std::uint64_t kSizeMaxBytes = 1ULL << 53;

Status invalid(const std::string& where, const std::string& problem) {
  return Status(Code::E_ARGUMENT_INVALID, "the mount spec's " + where + " " + problem);
}

// Refuses what is no object and what has a field beyond `known`.
Status check_fields(const Json& object, const std::string& where, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return invalid(where, "is not an object");
  for (const auto& field : object.items()) {
    bool found = false;
    for (const std::string_view name : known) found = found || field.key() == name;
    if (!found) return invalid(where, "has an unknown field");
  }
  return Status();
}

// Reads fields of one object; the first problem stays, so that a caller checks once.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool has(const char* name) const { return object_.contains(name); }

  std::uint64_t integer(const char* name, std::uint64_t minimum, std::uint64_t maximum) {
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_number_unsigned()) return fail(name, "is missing or not an integer"), 0;
    const auto value = found->get<std::uint64_t>();
    if (value < minimum || value > maximum) return fail(name, "is out of range"), 0;
    return value;
  }

  std::uint64_t integer_or(const char* name, std::uint64_t minimum, std::uint64_t maximum, std::uint64_t otherwise) {
    return has(name) ? integer(name, minimum, maximum) : otherwise;
  }

  bool boolean_or(const char* name, bool otherwise) {
    const auto found = object_.find(name);
    if (found == object_.end()) return otherwise;
    if (!found->is_boolean()) return fail(name, "is not true or false"), otherwise;
    return found->get<bool>();
  }

  std::string text(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_string()) return fail(name, "is missing or not a string"), std::string();
    return found->get_ref<const std::string&>();
  }

  std::string absolute_path(const char* name) {
    std::string path = text(name);
    if (status_.ok() && (path.empty() || path[0] != '/' || path.size() > limits::kNameMaxBytes ||
                         path.find('\0') != std::string::npos)) {
      fail(name, "is not an absolute path");
    }
    return path;
  }

  void fail(const char* name, const char* problem) {
    if (status_.ok()) status_ = invalid(where_, std::string("field ") + name + " " + problem);
  }

  const Status& status() const { return status_; }

 private:
  const Json& object_;
  const std::string where_;
  Status status_;
};

std::optional<std::string> path_problem(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.size() > limits::kNameMaxBytes) return "is too long";
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "has a control character";
  }
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view component = path.substr(begin, end - begin);
    if (component.empty()) return "is absolute or has an empty component";
    if (component == "." || component == "..") return "has a component . or ..";
    if (component.size() > limits::kNameComponentMaxBytes) return "has a component that is too long";
    begin = end + 1;
  }
  return std::nullopt;
}

Result<VolumeSpec> parse_volume(const Json& json, const std::string& where) {
  VZV_TRY(check_fields(json, where, {"sizeBytes", "chunkSizeBytes", "levels", "rootId"}));
  Fields fields(json, where);
  const std::uint64_t size_bytes = fields.integer("sizeBytes", 0, kSizeMaxBytes);
  const auto chunk_size_bytes =
      static_cast<std::uint32_t>(fields.integer("chunkSizeBytes", 1, limits::kDataChunkMaxBytes));
  const std::uint64_t levels = fields.integer("levels", 1, limits::kMapLevelsMax);
  const std::string root = fields.text("rootId");
  VZV_TRY(fields.status());

  const Result<VolumeGeometry> geometry = VolumeGeometry::make(size_bytes, chunk_size_bytes);
  if (!geometry.ok()) return invalid(where, "is impossible: " + geometry.status().message());
  if (levels != geometry->levels()) {
    return invalid(
        where, "has " + std::to_string(levels) + " levels where its size makes " + std::to_string(geometry->levels()));
  }
  const std::optional<Id> id = Id::from_hex(root);
  if (!id) return invalid(where, "field rootId is not 64 lower-case hex digits");
  if (size_bytes == 0 && !id->is_zero()) return invalid(where, "is empty and has a map");
  return VolumeSpec{*geometry, *id};
}

Result<StreamMap> parse_stream(const Json& json, const std::string& where) {
  VZV_TRY(check_fields(json, where, {"sizeBytes", "levels", "rootId"}));
  Fields fields(json, where);
  StreamMap map;
  map.size_bytes = fields.integer("sizeBytes", 0, kSizeMaxBytes);
  map.levels = static_cast<unsigned>(fields.integer("levels", 1, limits::kStreamLevelsMax));
  const std::string root = fields.text("rootId");
  VZV_TRY(fields.status());
  const std::optional<Id> id = Id::from_hex(root);
  if (!id) return invalid(where, "field rootId is not 64 lower-case hex digits");
  map.root = *id;
  const Status possible = check_stream_map(map);
  if (!possible.ok()) return invalid(where, "is impossible: " + possible.message());
  return map;
}

Result<ArchiveSpec> parse_archive(const Json& json, const std::string& where) {
  VZV_TRY(check_fields(json, where, {"data", "catalogue"}));
  if (!json.contains("data") || !json.contains("catalogue")) return invalid(where, "needs data and catalogue");
  const Result<StreamMap> data = parse_stream(json.at("data"), where + " data");
  if (!data.ok()) return data.status();
  const Result<StreamMap> catalogue = parse_stream(json.at("catalogue"), where + " catalogue");
  if (!catalogue.ok()) return catalogue.status();
  return ArchiveSpec{*data, *catalogue};
}

Result<Bytes> parse_content(Fields& fields, const std::string& where) {
  const std::string text = fields.text("contentBase64");
  VZV_TRY(fields.status());
  if (text.size() / 4 * 3 > limits::kMountFileMaxBytes + 2) return invalid(where, "field contentBase64 is too long");
  std::optional<Bytes> bytes = decode_base64(text);
  if (!bytes) return invalid(where, "field contentBase64 is not base64");
  return std::move(*bytes);
}

// What a result answers, as a node's content.
template <typename Spec, typename T>
Status take_content(Result<T> parsed, NodeSpec& node) {
  if (!parsed.ok()) return parsed.status();
  node.content = Spec{std::move(parsed).value()};
  return {};
}

Result<NodeSpec> parse_node(const Json& json, std::size_t position) {
  const std::string where = "node " + std::to_string(position);
  VZV_TRY(
      check_fields(json, where, {"path", "volume", "archiveTar", "archiveTree", "contentBase64", "modifiedSeconds"}));
  Fields fields(json, where);
  NodeSpec node;
  node.path = fields.text("path");
  node.modified_seconds = static_cast<std::int64_t>(fields.integer_or("modifiedSeconds", 0, kTimeMaxSeconds, 0));
  VZV_TRY(fields.status());
  if (const auto problem = path_problem(node.path)) return invalid(where + " path", *problem);

  int contents = 0;
  for (const char* name : {"volume", "archiveTar", "archiveTree", "contentBase64"})
    contents += fields.has(name) ? 1 : 0;
  if (contents != 1) return invalid(where, "needs one of volume, archiveTar, archiveTree and contentBase64");
  if (fields.has("volume")) {
    VZV_TRY(take_content<VolumeSpec>(parse_volume(json.at("volume"), where + " volume"), node));
  } else if (fields.has("archiveTar")) {
    VZV_TRY(take_content<ArchiveTarSpec>(parse_archive(json.at("archiveTar"), where + " archiveTar"), node));
  } else if (fields.has("archiveTree")) {
    VZV_TRY(take_content<ArchiveTreeSpec>(parse_archive(json.at("archiveTree"), where + " archiveTree"), node));
  } else {
    VZV_TRY(take_content<Bytes>(parse_content(fields, where), node));
  }
  return node;
}

void take_key_fields(Fields& fields, MountSpec& spec) {
  spec.has_key = fields.has("key");
  if (fields.has("keyFingerprint")) spec.key_fingerprint = fields.text("keyFingerprint");
  // One that was written with escapes has not been taken.
  if (spec.has_key && fields.text("key").find_first_not_of(kTakenDigit) != std::string::npos) {
    fields.fail("key", "is not written plainly");
  }
  if (!spec.has_key && !spec.key_fingerprint.empty()) fields.fail("keyFingerprint", "stands there without a key");
}

}  // namespace

Result<MountSpec> parse_mount_spec(std::string_view text) {
  VZV_TRY(check_json(text));
  const Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_discarded()) return Status(Code::E_ARGUMENT_INVALID, "the mount spec is not JSON");

  // Another version may have other fields: say that, not that they are unknown.
  if (!json.is_object()) return Status(Code::E_ARGUMENT_INVALID, "the mount spec is not an object");
  Fields fields(json, "top level");
  const std::uint64_t version = fields.integer("version", 0, UINT64_MAX);
  VZV_TRY(fields.status());
  if (version != kVersion) return invalid("version", "is " + std::to_string(version) + ", this program knows 1");
  VZV_TRY(check_fields(
      json, "top level",
      {"version", "repository", "cacheDirectory", "cacheBytes", "allowOther", "key", "keyFingerprint", "nodes"}));

  MountSpec spec;
  spec.repository = fields.absolute_path("repository");
  spec.cache_directory = fields.absolute_path("cacheDirectory");
  spec.cache_bytes = fields.integer_or("cacheBytes", limits::kMountCacheMinBytes, limits::kMountCacheMaxBytes,
                                       limits::kMountCacheDefaultBytes);
  spec.allow_other = fields.boolean_or("allowOther", false);
  take_key_fields(fields, spec);
  VZV_TRY(fields.status());

  const auto nodes = json.find("nodes");
  if (nodes == json.end() || !nodes->is_array()) return invalid("field nodes", "is missing or not a list");
  if (nodes->size() > limits::kMountNodesMax) return invalid("field nodes", "is too long");
  spec.nodes.reserve(nodes->size());
  for (const Json& node : *nodes) {
    Result<NodeSpec> parsed = parse_node(node, spec.nodes.size());
    if (!parsed.ok()) return parsed.status();
    spec.nodes.push_back(std::move(parsed).value());
  }
  return spec;
}

Result<SecretText> read_mount_spec(int fd, int timeout_ms) {
  SecretText text;
  SecretText buffer(64 * limits::kKiB, '\0');
  for (;;) {
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int polled = poll(&ready, 1, timeout_ms);
    if (polled < 0 && errno == EINTR) continue;
    if (polled == 0) return Status(Code::E_ARGUMENT_INVALID, "the mount spec does not end: its writer holds it open");
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status(Code::E_ARGUMENT_INVALID, "reading the mount spec: " + errno_text(errno));
    if (got == 0) return text;
    if (text.size() + static_cast<std::size_t>(got) > limits::kMountSpecMaxBytes) {
      return Status(Code::E_ARGUMENT_INVALID,
                    "the mount spec is longer than " + std::to_string(limits::kMountSpecMaxBytes) + " bytes");
    }
    text.append(buffer, 0, static_cast<std::size_t>(got));
  }
}

}  // namespace vzv::fuse
