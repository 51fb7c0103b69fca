/**
 * Long native jobs: progress is looked at while they run, and an AbortSignal stops them. A job that does not end soon after hangs in the
 * kernel, and is then left to it: its promise rejects, its threads end when the kernel lets them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VzvaultError } from '../lib/errors.js';
import { awaitNative, callNative, type JobHandle, type NativeAddon } from './addon.js';
import type { JobControl } from './types.js';

const progressIntervalMs = 250;

/** A job that can end does so within one chunk and one answer of its source. */
const hangsAfterMs = 2_000;

/** Runs `start` under a job of its own; `look` tells how far that has come. */
export async function runJob<Progress, T>(
  control: JobControl<Progress> | undefined,
  look: (native: NativeAddon, job: JobHandle) => Progress,
  start: (native: NativeAddon, job: JobHandle) => Promise<T>,
): Promise<T> {
  const { signal, onProgress } = control ?? {};
  if (signal?.aborted) throw stopped();
  const job = callNative((native) => native.jobCreate());
  const report = (): void => onProgress?.(callNative((native) => look(native, job)));
  const reporting = onProgress && setInterval(report, progressIntervalMs);
  const stop = stopWith(job, signal);
  try {
    const result = await Promise.race([awaitNative(async (native) => start(native, job)), stop.hanging]);
    report();
    return result;
  } finally {
    clearInterval(reporting);
    stop.forget();
  }
}

/** Waits for a job that was cancelled to settle, however it does, and not for one that hangs. */
export async function settledSoon(job: Promise<unknown>): Promise<void> {
  const waiting = new AbortController();
  const ignored = (): void => undefined;
  await Promise.race([
    job.then(ignored, ignored),
    sleep(hangsAfterMs, undefined, { signal: waiting.signal }).catch(ignored),
  ]);
  waiting.abort();
}

/** Cancels the job when the signal is aborted. `hanging` rejects when it should have ended by then, and never resolves. */
function stopWith(job: JobHandle, signal: AbortSignal | undefined): { hanging: Promise<never>; forget: () => void } {
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => undefined;
  const hanging = new Promise<never>((_, reject) => {
    onAbort = () => {
      callNative((native) => {
        native.jobCancel(job);
      });
      timer = setTimeout(() => {
        reject(stopped());
      }, hangsAfterMs);
    };
  });
  signal?.addEventListener('abort', onAbort, { once: true });
  return {
    hanging,
    forget: () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    },
  };
}

function stopped(): VzvaultError {
  return new VzvaultError('E_CANCELLED', 'the task was stopped');
}
