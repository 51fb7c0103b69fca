/** vzvault doctor: looks at everything that a backup or restore needs, and says what is wrong in one line each. */

import type { Command } from 'commander';
import { access, constants } from 'node:fs/promises';
import { withDeadline } from '../lib/deadline.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { doctorLimits } from '../lib/limits.js';
import { formatBytes, percent } from '../lib/units.js';
import { findMountProgram } from '../repository/mount.js';
import { openRepository, type Repository } from '../repository/repository.js';
import { verifyStateOf } from '../repository/snapshots.js';
import { EXIT, printJson, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { formatTable, printable } from './table.js';
import { locationOf } from './unlocking.js';

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'error';
  readonly detail: string;
}

interface Check {
  readonly name: string;
  /** Where it fails, backups or restores fail too; otherwise it is a warning. */
  readonly isEssential: boolean;
  readonly look: () => Promise<string>;
}

export function registerDoctor(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .summary('look for what would make backups or restores fail')
    .description(
      'Checks the mount, the repository, its snapshots and index, the free space, FUSE and the daemon. Writes nothing but a probe, which ' +
        'it removes. Exit code 1 says that something is wrong; warnings do not count.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--json', 'print JSON: a list of findings')
    .addHelpText(
      'after',
      `
Example:
  vzvault doctor nas`,
    )
    .action(runs(context, doctor));
}

async function doctor(context: CommandContext, [store = '']: readonly string[], { json }: { json?: boolean }): Action {
  const findings: Finding[] = [];
  const location = locationOf(context, store);
  let repository: Repository | null = null;
  const open: Check = {
    name: 'repository',
    isEssential: true,
    look: async () => {
      repository = await openRepository(context.engine, location);
      return `${repository.path}, format 1, id ${repository.config.repositoryId}`;
    },
  };
  findings.push(await perform(open));
  for (const check of repository === null ? [] : checksOf(repository)) findings.push(await perform(check));
  for (const check of machineChecks(context)) findings.push(await perform(check));
  // Not waited for: after a hung mount it may not return.
  void (repository as Repository | null)?.close();
  if (json === true) printJson(context.terminal, findings);
  else context.terminal.out(formatFindings(findings));
  return findings.some((finding) => finding.state === 'error') ? EXIT.error : EXIT.ok;
}

async function perform({ name, isEssential, look }: Check): Promise<Finding> {
  try {
    const detail = await withDeadline(look(), doctorLimits.checkMs, 'E_STORAGE_TIMEOUT', `the check of ${name}`);
    return { check: name, state: 'ok', detail };
  } catch (error) {
    return { check: name, state: isEssential ? 'error' : 'warning', detail: toVzvaultError(error).line };
  }
}

function checksOf(repository: Repository): Check[] {
  return [
    {
      name: 'encryption',
      isEssential: true,
      look: async () => {
        const { access, config } = repository;
        access.require();
        return access.isEncrypted ? `${config.suite}, and the key opens it` : 'none';
      },
    },
    {
      name: 'writing',
      isEssential: true,
      look: async () => {
        await repository.requireWritable();
        return 'a probe was written and removed';
      },
    },
    {
      name: 'snapshots',
      isEssential: true,
      look: async () => {
        const entries = await repository.snapshots.list();
        const damaged = entries.filter((entry) => verifyStateOf(entry) === 'damaged').length;
        if (damaged > 0)
          throw new VzvaultError('E_SNAPSHOT_DAMAGED', `${damaged} of ${entries.length} snapshots are damaged`);
        return `${entries.length}, none known to be damaged`;
      },
    },
    {
      name: 'index',
      isEssential: true,
      look: async () => {
        const { segments, chunks, packs } = await (await repository.openStore()).statistics();
        return `${segments} segments, ${chunks} chunks in ${packs} packs, cached in ${repository.cacheDirectory}`;
      },
    },
    {
      name: 'space',
      isEssential: false,
      look: async () => {
        const { availableBytes, totalBytes } = await repository.space();
        const detail = `${formatBytes(availableBytes)} of ${formatBytes(totalBytes)} free`;
        if (percent(availableBytes, totalBytes) < doctorLimits.lowSpacePercent)
          throw new VzvaultError('E_NO_SPACE', detail);
        return detail;
      },
    },
  ];
}

function machineChecks({ pingDaemon }: CommandContext): Check[] {
  return [
    {
      name: 'fuse',
      isEssential: true,
      look: async () => {
        const program = findMountProgram();
        await access('/dev/fuse', constants.R_OK | constants.W_OK).catch((cause: unknown) => {
          throw new VzvaultError('E_MOUNT_FAILED', `/dev/fuse: ${String(cause)}`, { cause });
        });
        return program;
      },
    },
    {
      // The command line does without it.
      name: 'daemon',
      isEssential: false,
      look: async () => {
        const { version, pid } = await pingDaemon();
        return `vzvaultd ${version}, pid ${pid}`;
      },
    },
  ];
}

function formatFindings(findings: readonly Finding[]): string {
  const rows = findings.map(({ check, state, detail }) => [
    check,
    state === 'ok' ? state : state.toUpperCase(),
    printable(detail),
  ]);
  return formatTable([{ title: 'CHECK' }, { title: 'STATE' }, { title: 'DETAIL' }], rows);
}
