#include "test/support/qemu_disk.h"

namespace vzv::test {

namespace {

std::string quoted(const std::string& text) { return '"' + text + '"'; }

}  // namespace

QemuDisk::QemuDisk(const std::string& image)
    : server_({"qemu-storage-daemon", "--chardev",
               "socket,id=monitor,server=on,wait=off,path=" + (directory_ / "qmp.sock"), "--monitor", "chardev=monitor",
               "--blockdev", "file,node-name=disk-file,discard=unmap,filename=" + image, "--blockdev",
               "raw,node-name=disk,discard=unmap,file=disk-file", "--nbd-server",
               "addr.type=unix,addr.path=SOCKET,max-connections=16", "--export",
               "nbd,id=guest,node-name=disk,name=guest,writable=on"}),
      qmp_(std::make_unique<QmpClient>(directory_ / "qmp.sock")) {}

void QemuDisk::add_bitmap(const std::string& name, std::uint64_t granularity_bytes) {
  qmp_->run("block-dirty-bitmap-add", R"({"node": "disk", "name": )" + quoted(name) + R"(, "granularity": )" +
                                          std::to_string(granularity_bytes) + "}");
}

void QemuDisk::clear_bitmap(const std::string& name) {
  qmp_->run("block-dirty-bitmap-clear", R"({"node": "disk", "name": )" + quoted(name) + "}");
}

void QemuDisk::add_export(const std::string& name, const std::string& node, const std::string& bitmap, bool writable) {
  const std::string bitmaps =
      bitmap.empty() ? "" : R"(, "bitmaps": [{"node": "disk", "name": )" + quoted(bitmap) + "}]";
  qmp_->run("block-export-add", R"({"type": "nbd", "id": )" + quoted(name) + R"(, "name": )" + quoted(name) +
                                    R"(, "node-name": )" + quoted(node) + bitmaps + R"(, "writable": )" +
                                    (writable ? "true" : "false") + "}");
}

void QemuDisk::remove_export(const std::string& name) {
  qmp_->run("block-export-del", R"({"id": )" + quoted(name) + R"(, "mode": "hard"})");
}

void QemuDisk::guest(const std::string& command, const std::string& export_name) {
  run({"qemu-io", "-f", "raw", "-c", command, server_.uri(export_name)});
}

void QemuDisk::begin_snapshot(const std::string& fleece, const std::string& bitmap) {
  remove_export("guest");
  if (!bitmap.empty()) {
    qmp_->run("block-dirty-bitmap-disable", R"({"node": "disk", "name": )" + quoted(bitmap) + "}");
  }
  qmp_->run("blockdev-add", R"({"driver": "raw", "node-name": "fleece", "discard": "unmap", "file": {"driver": "file",)"
                            R"( "discard": "unmap", "filename": )" +
                                quoted(fleece) + "}}");
  const std::string limited = bitmap.empty() ? "" : R"(, "bitmap": {"node": "disk", "name": )" + quoted(bitmap) + "}";
  qmp_->run(
      "blockdev-add",
      R"({"driver": "copy-before-write", "node-name": "cbw", "discard": "unmap", "file": "disk", "target": "fleece")" +
          limited + "}");
  qmp_->run("blockdev-add",
            R"({"driver": "snapshot-access", "node-name": "access", "discard": "unmap", "file": "cbw"})");
  add_export("guest-behind", "cbw", "", true);
}

}  // namespace vzv::test
