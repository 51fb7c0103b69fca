// The Node-API addon: a thin border of plain data, promises and handles around core. src/engine is its only user and
// checks what it hands over; what is native and what is JavaScript meet nowhere else.
#include <napi.h>

#include "addon/exports.h"
#include "addon/main_queue.h"

namespace {

Napi::Object load(Napi::Env env, Napi::Object exports) {
  using namespace vzv::addon;
  MainQueue::create(env);
  export_archive_jobs(env, exports);
  export_backup_job(env, exports);
  export_collect(env, exports);
  export_directory(env, exports);
  export_job(env, exports);
  export_jobs(env, exports);
  export_keys(env, exports);
  export_repair(env, exports);
  export_sockets(env, exports);
  export_sparse(env, exports);
  export_store(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(vzvault, load)
