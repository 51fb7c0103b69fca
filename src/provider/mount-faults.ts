/**
 * What went wrong in the mount of a restore, for the task log: the program that reads there learns of it as an I/O error only.
 *
 * Every line of vzvault-fuse goes to the daemon's log as it is learnt; its errors are kept until the restore ends. Invariant: at most
 * `mountLimits.faults` of them are, each once; further ones are counted.
 */
import { isErrorCode, VzvaultError } from '../lib/errors.js';
import { mountLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { Call } from './call.js';

const errorLine = /^vzvault-fuse: error (E_[A-Z_]+): (.*)$/;
const infoLine = /^vzvault-fuse: info: (.*)$/;

export class MountFaults {
  readonly #lines = new Set<string>();
  #further = 0;

  constructor(private readonly logger: Logger) {}

  /** Takes lines as vzvault-fuse wrote them (docs/mount.md, "Damage"). */
  addLines(lines: readonly string[]): void {
    for (const line of lines) {
      const text = printable(line);
      const [, code = '', message = ''] = errorLine.exec(text) ?? [];
      const info = infoLine.exec(text)?.[1];
      if (isErrorCode(code)) this.add(new VzvaultError(code, message));
      else if (info !== undefined) this.logger.info(`vzvault-fuse: ${info}`);
      else this.logger.warn(text);
    }
  }

  add(error: VzvaultError): void {
    this.logger.error({ code: error.code }, error.message);
    if (this.#lines.has(error.line)) return;
    if (this.#lines.size < mountLimits.faults) this.#lines.add(error.line);
    else this.#further += 1;
  }

  /** Says the errors, oldest first, and how many more there were; each once. */
  report(log: Call['log']): void {
    for (const line of this.#lines) log('err', line);
    if (this.#further > 0) log('err', `and ${this.#further} more errors, which the log of vzvaultd has`);
    this.#lines.clear();
    this.#further = 0;
  }
}

/** One line of text that cannot steer a terminal, of a sane length. */
function printable(line: string): string {
  return line.replace(/\p{Cc}+/gu, ' ').slice(0, mountLimits.faultCharacters);
}
