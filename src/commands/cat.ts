/** vzvault cat: the content of one file of a container's backup. */
import type { Command } from 'commander';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { abortReason, withSignal } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { MIB } from '../lib/units.js';
import { withArchiveTree } from './archive-mount.js';
import { EXIT, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { escapePath, joinPath, resolveInside, treeError, unescapePath } from './tree-path.js';

export function registerCat(program: Command, context: CommandContext): void {
  program
    .command('cat')
    .summary("print a file of a container's backup")
    .description(
      "Prints one file of a container's backup, byte for byte. Symbolic links are followed as in the container. Damaged data is an error, never " +
        'wrong bytes.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot>', 'lxc/101@2026-11-22T04:17:14Z, lxc/101@latest or a volume name')
    .argument('<path>', 'a file in the container, as vzvault files lists it')
    .addHelpText(
      'after',
      `
Example:
  vzvault cat nas lxc/101@latest /etc/fstab`,
    )
    .action(runs(context, cat));
}

async function cat(context: CommandContext, [store = '', reference = '', path = '']: readonly string[]): Action {
  const wanted = unescapePath(path);
  await withArchiveTree(context, { store, reference }, async ({ root }) => {
    const place = await resolveInside(root, wanted, { followLast: true });
    if (!place.status.isFile())
      throw new VzvaultError('E_ARGUMENT_INVALID', `/${escapePath(place.path)} is not a file`);
    await print(context, joinPath(root, place.path), place.path);
  });
  return EXIT.ok;
}

async function print({ terminal, signal }: CommandContext, file: Buffer, name: Buffer): Promise<void> {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const buffer = Buffer.allocUnsafe(MIB);
      while (!terminal.isOutputGone) {
        if (signal.aborted) throw abortReason(signal);
        const { bytesRead } = await handle.read(buffer, 0, MIB, null);
        if (bytesRead === 0) return;
        terminal.out(buffer.subarray(0, bytesRead));
        // So that one piece is in memory, however slowly it is read.
        await withSignal(terminal.drained(), signal);
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw treeError(error, name);
  }
}
