// A disk that a QEMU has open, with a dirty bitmap, as that of a running guest: qemu-storage-daemon over a raw image.
#pragma once

#include <memory>
#include <string>

#include "test/support/nbd_server.h"
#include "test/support/qmp.h"
#include "test/support/scratch.h"

namespace vzv::test {

class QemuDisk {
 public:
  // The export "guest" writes to the disk.
  explicit QemuDisk(const std::string& image);

  const std::string& socket() const { return server_.socket(); }
  QmpClient& qmp() { return *qmp_; }
  ChildProcess& process() { return server_.process(); }

  // A bitmap of the node "disk" that marks what is written from now on.
  void add_bitmap(const std::string& name, std::uint64_t granularity_bytes = 4 << 20);
  void clear_bitmap(const std::string& name);
  // An export of a node, with a bitmap of the node "disk" unless that is empty.
  void add_export(const std::string& name, const std::string& node, const std::string& bitmap, bool writable = false);
  void remove_export(const std::string& name);
  // What the guest does, through an export: qemu-io's command, such as "write -P 7 0 64k".
  void guest(const std::string& command, const std::string& export_name = "guest");
  // From now on the node "access" shows the disk as it is now, through copy-before-write into `fleece` (a raw image of
  // the same size); outside the bitmap, which marks nothing more from now on, its reads fail, as those of Proxmox VE's
  // exports do. The guest's export moves on top of it, under the name "guest-behind".
  void begin_snapshot(const std::string& fleece, const std::string& bitmap);

 private:
  ScratchDirectory directory_;
  NbdServer server_;
  std::unique_ptr<QmpClient> qmp_;
};

}  // namespace vzv::test
