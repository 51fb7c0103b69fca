#include "fuse/archive_tar.h"

#include <utility>

#include "core/base/limits.h"

namespace vzv::fuse {
namespace {

// Readers that stand at different places, so that programs that read one open file side by side do not send each other
// back.
class OpenTar : public OpenFile {
 public:
  OpenTar(Archive& archive, std::shared_ptr<const TarLayout> layout, ReadAheadPool& pool)
      : archive_(archive), layout_(std::move(layout)), stream_(archive, pool) {}

  std::string path() const override { return archive_.path(); }
  std::uint64_t size_bytes() const override { return layout_->size_bytes(); }
  bool direct() const override { return true; }

  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer) override {
    std::unique_ptr<TarFileReader> reader = take(offset);
    Status status = reader->read(offset, buffer);
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(reader));
    if (idle_.size() > limits::kMountTarReadersMax) idle_.erase(idle_.begin());
    return status;
  }

 private:
  // The idle reader that stands closest before the offset, or any, or a new one.
  std::unique_ptr<TarFileReader> take(std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    auto best = idle_.end();
    for (auto at = idle_.begin(); at != idle_.end(); ++at) {
      if ((*at)->position() <= offset && (best == idle_.end() || (*at)->position() > (*best)->position())) best = at;
    }
    if (best == idle_.end()) {
      return std::make_unique<TarFileReader>(
          layout_, archive_.catalogue(),
          [this](std::uint64_t from, std::span<std::uint8_t> into) { return stream_.read(from, into); });
    }
    std::unique_ptr<TarFileReader> reader = std::move(*best);
    idle_.erase(best);
    return reader;
  }

  Archive& archive_;
  const std::shared_ptr<const TarLayout> layout_;
  ArchiveStream stream_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<TarFileReader>> idle_;  // guarded by mutex_; the one that was used last is last
};

}  // namespace

Result<std::shared_ptr<const TarLayout>> ArchiveTar::layout() {
  const std::lock_guard lock(mutex_);
  if (layout_ == nullptr) {
    Result<std::shared_ptr<const TarLayout>> built =
        TarLayout::build(archive_->catalogue(), archive_->data().size_bytes());
    if (!built.ok()) return built.status();
    layout_ = std::move(built).value();
  }
  return layout_;
}

std::unique_ptr<OpenFile> ArchiveTar::open(std::shared_ptr<const TarLayout> layout, ReadAheadPool& pool) {
  return std::make_unique<OpenTar>(*archive_, std::move(layout), pool);
}

}  // namespace vzv::fuse
