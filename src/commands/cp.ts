/** vzvault cp: takes a file or a tree out of a container's backup, by the system's cp. */
import type { Command } from 'commander';
import { spawn } from 'node:child_process';
import { lstat, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { abortReason } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId } from '../lib/guest.js';
import { withArchiveTree } from './archive-mount.js';
import { EXIT, printLine, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { printable } from './table.js';
import { escapePath, joinPath, resolveInside, splitPath, unescapePath } from './tree-path.js';

/**
 * Arguments of Node's are text, paths are bytes: they come with each byte as `\0ooo`, which the shell's printf makes bytes of. The dot
 * keeps newlines at the end.
 */
const script = 'from=$(printf "%b." "$1"); to=$(printf "%b." "$2"); exec cp -a -T -- "${from%.}" "${to%.}"';

export function registerCp(program: Command, context: CommandContext): void {
  program
    .command('cp')
    .summary("copy files and trees out of a container's backup")
    .description(
      "Copies a file or a tree out of a container's backup, with all that it has: owners as the container has them, modes, times, extended attributes, " +
        'ACLs, hard links and holes. Only root can keep owners, and makes device nodes and set-uid programs too.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot>', 'lxc/101@2026-11-22T04:17:14Z, lxc/101@latest or a volume name')
    .argument('<path>', 'a file or directory in the container, as vzvault files lists it')
    .argument('<target>', 'what shall become of it, or an existing directory to put it in')
    .addHelpText(
      'after',
      `
Examples:
  vzvault cp nas lxc/101@latest /etc/nginx ~/nginx-of-yesterday
  vzvault cp nas lxc/101@latest /home/anna/thesis.odt .`,
    )
    .action(runs(context, cp));
}

async function cp(context: CommandContext, args: readonly string[]): Action {
  const [store = '', reference = '', path = '', target = ''] = args;
  const wanted = unescapePath(path);
  await withArchiveTree(context, { store, reference }, async ({ id, root }) => {
    const place = await resolveInside(root, wanted, { followLast: false });
    const to = await targetOf(target, splitPath(place.path).at(-1) ?? Buffer.alloc(0));
    await copy(context, joinPath(root, place.path), to);
    const what = `/${escapePath(place.path)} of ${formatSnapshotId(id)}`;
    printLine(context.terminal, `${what} is in ${printable(escapePath(to))}`);
  });
  return EXIT.ok;
}

/** Absolute. E_TARGET_EXISTS where something is there. */
async function targetOf(target: string, name: Buffer): Promise<Buffer> {
  const path = Buffer.from(resolve(target));
  const found = await stat(path).catch(() => null);
  const to = found?.isDirectory() === true ? joinPath(path, name) : path;
  if ((await lstat(to).catch(() => null)) !== null) {
    throw new VzvaultError(
      'E_TARGET_EXISTS',
      `${printable(escapePath(to))} exists; nothing is ever copied over what is there`,
    );
  }
  return to;
}

/** E_TARGET_WRITE with the last thing that cp said, all of which goes to the terminal. */
async function copy({ terminal, signal }: CommandContext, from: Buffer, to: Buffer): Promise<void> {
  if (signal.aborted) throw abortReason(signal);
  const child = spawn('/bin/sh', ['-c', script, 'sh', inOctal(from), inOctal(to)], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  const onAbort = (): void => {
    child.kill('SIGTERM');
  };
  signal.addEventListener('abort', onAbort, { once: true });
  let said = 'it said nothing';
  createInterface(child.stderr).on('line', (line) => {
    said = printable(line);
    terminal.err(`${said}\n`);
  });
  const code = await new Promise<number | null>((settle, reject) => {
    child.once('error', (cause) => {
      reject(new VzvaultError('E_TARGET_WRITE', `starting cp: ${cause.message}`, { cause }));
    });
    child.once('close', settle);
  }).finally(() => {
    signal.removeEventListener('abort', onAbort);
  });
  if (signal.aborted) throw abortReason(signal);
  if (code !== 0) throw new VzvaultError('E_TARGET_WRITE', `copying to ${printable(escapePath(to))}: ${said}`);
}

function inOctal(bytes: Buffer): string {
  return [...bytes].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('');
}
