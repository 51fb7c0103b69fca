// What each part of the addon adds to its exports.
#pragma once

#include <napi.h>

namespace vzv::addon {

void export_archive_jobs(Napi::Env env, Napi::Object exports);
void export_backup_job(Napi::Env env, Napi::Object exports);
void export_collect(Napi::Env env, Napi::Object exports);
void export_directory(Napi::Env env, Napi::Object exports);
void export_job(Napi::Env env, Napi::Object exports);
void export_jobs(Napi::Env env, Napi::Object exports);
void export_keys(Napi::Env env, Napi::Object exports);
void export_repair(Napi::Env env, Napi::Object exports);
void export_sockets(Napi::Env env, Napi::Object exports);
void export_sparse(Napi::Env env, Napi::Object exports);
void export_store(Napi::Env env, Napi::Object exports);

}  // namespace vzv::addon
