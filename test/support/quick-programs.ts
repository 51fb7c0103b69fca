/** Programs that wait a thousandth of what they wait in production: for tests of several at once (quick-sharing.ts). */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const VARIABLE = 'VZVAULT_TEST_GRACE_MS';
const DEFAULT_GRACE_MS = 40;

/** What their environment needs. `graceMs` is how old a listing may be. */
export function quickEnvironment(graceMs = DEFAULT_GRACE_MS): Record<string, string> {
  const module = pathToFileURL(join(import.meta.dirname, 'quick-sharing.js'));
  return { NODE_OPTIONS: `--import=${module.href}`, [VARIABLE]: String(graceMs) };
}

export function quickGraceMs(environment: NodeJS.ProcessEnv): number {
  return Number(environment[VARIABLE] ?? DEFAULT_GRACE_MS);
}

/** Every program that this test process starts from now on is quick. */
export function makeProgramsQuick(): void {
  Object.assign(process.env, quickEnvironment());
}
