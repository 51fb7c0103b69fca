/**
 * Answering in time although the work may hang. A call into the kernel cannot be taken back; what can be done is to stop
 * waiting for it. These helpers never leave a timer behind and never cause an unhandled rejection.
 */
import { VzvaultError, type ErrorCode } from './errors.js';

/** setTimeout counts in 31 bits of milliseconds and fires at once beyond them. */
const longestTimerMs = 2_147_483_647;

/**
 * Settles as `work` does, or rejects with `code` after `timeoutMs`. `doing` completes "… did not end within 2000 ms".
 * The abandoned work goes on; its result or error is dropped.
 */
export async function withDeadline<T>(work: Promise<T>, timeoutMs: number, code: ErrorCode, doing: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        reject(new VzvaultError(code, `${doing} did not end within ${timeoutMs} ms`));
      },
      Math.min(timeoutMs, longestTimerMs),
    );
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it is aborted. */
export async function withSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(abortReason(signal));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

/** Why a signal was aborted, as an error of ours: E_CANCELLED where whoever aborted gave no better reason. */
export function abortReason(signal: AbortSignal): VzvaultError {
  const reason: unknown = signal.reason;
  if (reason instanceof VzvaultError) return reason;
  return new VzvaultError('E_CANCELLED', 'the task was stopped');
}

/** Waits; ends early and quietly when the signal is aborted. */
export async function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, durationMs);
    signal?.addEventListener('abort', done, { once: true });
  });
}
