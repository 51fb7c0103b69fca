/** Checks of what is handed to the addon, which itself trusts its arguments' ranges. All throw E_ARGUMENT_INVALID. */
import { VzvaultError } from '../lib/errors.js';
import type { NativeVolumeMap } from './addon.js';
import type { VolumeMap } from './types.js';

export function requireInteger(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new VzvaultError('E_ARGUMENT_INVALID', `${name} is ${value}, not an integer from ${least} to ${most}`);
}

/** A path that the kernel can take: absolute, without NUL (which would cut it short). */
export function requirePath(name: string, value: string): string {
  if (value.startsWith('/') && !value.includes('\0')) return value;
  throw new VzvaultError('E_ARGUMENT_INVALID', `${name} is ${JSON.stringify(value)}, not an absolute path`);
}

export function requireText(name: string, value: string): string {
  if (!value.includes('\0')) return value;
  throw new VzvaultError('E_ARGUMENT_INVALID', `${name} holds a NUL character`);
}

// What zstd offers without its long-range modes.
export const highestZstdLevel = 19;

/** The name of a session, with which its unfinished files begin. */
export function requireSessionId(value: string): string {
  if (/^[0-9a-f]{32}$/.test(value)) return value;
  throw new VzvaultError('E_ARGUMENT_INVALID', `sessionId is ${JSON.stringify(value)}, not 32 hex digits`);
}

export function nativeMap(map: VolumeMap): NativeVolumeMap {
  return {
    sizeBytes: requireInteger('sizeBytes', map.sizeBytes, 0),
    chunkSizeBytes: requireInteger('chunkSizeBytes', map.chunkSizeBytes, 1, 0xffff_ffff),
    rootId: map.rootId,
  };
}
