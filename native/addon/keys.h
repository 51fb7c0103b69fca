// The keys of an encrypted repository, as JavaScript holds them: an opaque handle. JavaScript has the secret only for
// the moment of loading it.
#pragma once

#include <napi.h>

#include "core/store/repository_keys.h"

namespace vzv::addon {

// The keys of a handle, null for JavaScript's null. Throws a TypeError for anything else.
RepositoryKeysPtr keys_argument(const Napi::CallbackInfo& info, std::size_t index);

}  // namespace vzv::addon
