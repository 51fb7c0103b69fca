/** The command line as a whole: its commands, its help, and how it speaks. */

import { Command } from 'commander';
import { registerBackup } from './backup.js';
import { registerCat } from './cat.js';
import type { CommandContext } from './context.js';
import { registerCp } from './cp.js';
import { registerDoctor } from './doctor.js';
import { registerFiles } from './files.js';
import { registerForget } from './forget.js';
import { registerGc } from './gc.js';
import { registerInit } from './init.js';
import { registerKey } from './key.js';
import { registerKeepSession } from './keep-session.js';
import { registerList } from './list.js';
import { registerMount } from './mount.js';
import { registerPrune } from './prune.js';
import { registerRepair } from './repair.js';
import { registerRestore } from './restore.js';
import { registerShow } from './show.js';
import { registerStats } from './stats.js';
import { addKeyOptions } from './unlocking.js';
import { registerVerify } from './verify.js';

const REGISTER = [
  registerInit,
  registerBackup,
  registerList,
  registerShow,
  registerStats,
  registerRestore,
  registerMount,
  registerFiles,
  registerCat,
  registerCp,
  registerVerify,
  registerRepair,
  registerForget,
  registerPrune,
  registerGc,
  registerKey,
  registerDoctor,
  registerKeepSession,
];

export function createProgram(context: CommandContext): Command {
  const { terminal } = context;
  const program = new Command('vzvault')
    .description(
      'Deduplicated backups of Proxmox VE guests in any directory. Works without Proxmox VE and without its daemon.',
    )
    .version(context.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; with a command, help on it')
    .helpCommand('help [command]', 'print help on a command')
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        terminal.out(text);
      },
      writeErr: (text) => {
        terminal.err(text);
      },
      // Printed by runProgram, as every other error.
      outputError: () => undefined,
    })
    .addHelpText(
      'after',
      `
STORE is the id of a storage in /etc/pve/storage.cfg, its path, or the repository itself.
SNAPSHOT is qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or a volume name.

First steps:
  vzvault init /mnt/nas
  vzvault backup /mnt/nas --guest qemu/100 --disk drive-scsi0=disk.raw
  vzvault list /mnt/nas
  vzvault restore /mnt/nas qemu/100@latest --disk drive-scsi0 --to copy.raw

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 damage found, 130 interrupted.`,
    );
  for (const register of REGISTER) register(program, context);
  addKeyOptions(program);
  return program;
}
