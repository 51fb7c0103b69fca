/**
 * The one kind of logger: pino, JSON lines on standard error (standard output belongs to what a program answers). Modules take a
 * Logger as an argument and add what they know with `child()`; none makes its own.
 */
import { pino, type Logger, type LevelWithSilent } from 'pino';

export type { Logger };

const levels: readonly string[] = [
  'trace',
  'debug',
  'info',
  'warn',
  'error',
  'fatal',
  'silent',
] satisfies LevelWithSilent[];

/** `level`: a pino level; anything else means `info`. Writes synchronously, so that the last line before a crash is there. */
export function createLogger(level = 'info'): Logger {
  return pino(
    { level: levels.includes(level) ? level : 'info', base: { pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** For tests and for library use without a log. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
