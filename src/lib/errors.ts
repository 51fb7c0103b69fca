/**
 * The closed table of everything that can go wrong, and the one error class that carries it.
 *
 * A code names a cause that an administrator can tell apart from the others; `docs/errors.md` explains each, the native
 * core (`native/core/base/status.h`) uses the same names, and a test holds the three equal. The message of an error says
 * what was being done to what; the hint, fixed per code, says what can be done about it.
 */

export interface ErrorKind {
  /** The same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** Who can mend it: the administrator, the peer program, time alone, or the authors of vzvault. */
  readonly actor: 'admin' | 'peer' | 'time' | 'authors';
  /** One line for the administrator: what to do. */
  readonly hint: string;
}

export const ERRORS = {
  // RPC
  E_FRAME_TORN: { retryable: true, actor: 'peer', hint: 'the connection ended inside a message; run the task again' },
  E_FRAME_TOO_LARGE: {
    retryable: false,
    actor: 'peer',
    hint: 'a message exceeds the limit of docs/protocol.md; make plugin and daemon the same version',
  },
  E_FRAME_INVALID: {
    retryable: false,
    actor: 'peer',
    hint: 'a message is not valid msgpack for this protocol; make plugin and daemon the same version',
  },
  E_PROTOCOL_VERSION: {
    retryable: false,
    actor: 'admin',
    hint: 'plugin and daemon do not match; install one version of vzvault on the node and restart vzvaultd and pvedaemon',
  },
  E_PROTOCOL_ORDER: {
    retryable: false,
    actor: 'peer',
    hint: 'a message came out of order; make plugin and daemon the same version',
  },
  E_METHOD_UNKNOWN: {
    retryable: false,
    actor: 'peer',
    hint: 'the peer does not know this call; make plugin and daemon the same version',
  },
  E_ARGUMENT_INVALID: {
    retryable: false,
    actor: 'peer',
    hint: 'an argument is not acceptable; see the message for which',
  },
  E_PEER_DENIED: { retryable: false, actor: 'admin', hint: 'only root may use the socket of vzvaultd' },
  E_DEADLINE: {
    retryable: true,
    actor: 'time',
    hint: 'the call took longer than allowed; look for a slow or hung mount, then try again',
  },
  E_CANCELLED: { retryable: true, actor: 'peer', hint: 'the task was stopped; nothing was committed' },
  E_CONNECTION_LOST: {
    retryable: true,
    actor: 'time',
    hint: 'vzvaultd went away; see journalctl -u vzvaultd, then run the task again',
  },
  E_DAEMON_UNREACHABLE: {
    retryable: true,
    actor: 'admin',
    hint: 'vzvaultd does not answer; run systemctl status vzvaultd',
  },
  E_DAEMON_STOPPING: { retryable: true, actor: 'time', hint: 'vzvaultd is stopping; try again once it runs' },
  // sessions
  E_SESSION_UNKNOWN: {
    retryable: true,
    actor: 'time',
    hint: 'the daemon does not know this session, it was probably restarted; run the task again',
  },
  E_SESSION_STATE: {
    retryable: false,
    actor: 'peer',
    hint: 'the call does not fit the state of the session; run the task again',
  },
  E_GUEST_BUSY: { retryable: true, actor: 'time', hint: 'this guest is being backed up already; wait for that task' },
  E_SESSION_FENCED: {
    retryable: true,
    actor: 'time',
    hint: 'a collection took the session for dead after it had been silent for long; run the task again',
  },
  E_UNSUPPORTED: { retryable: false, actor: 'admin', hint: 'this version of vzvault cannot do that; see the message' },
  // repository
  E_PATH_MISSING: {
    retryable: true,
    actor: 'admin',
    hint: 'the path does not exist; mount the storage or mend its path in storage.cfg',
  },
  E_NOT_MOUNTED: {
    retryable: true,
    actor: 'admin',
    hint: 'nothing is mounted there although is_mountpoint is set; mount it',
  },
  E_REPOSITORY_MISSING: {
    retryable: false,
    actor: 'admin',
    hint: 'there is no repository below this path; mount the storage, or make one with vzvault init',
  },
  E_REPOSITORY_EXISTS: { retryable: false, actor: 'admin', hint: 'there is a repository already; nothing was changed' },
  E_FORMAT_UNKNOWN: {
    retryable: false,
    actor: 'admin',
    hint: 'the repository was written by a newer vzvault; update this node',
  },
  E_CONFIG_INVALID: {
    retryable: false,
    actor: 'admin',
    hint: 'the file that is named is damaged or of another repository; restore it from another copy',
  },
  E_PERMISSION: {
    retryable: false,
    actor: 'admin',
    hint: 'permission denied; run as root or mend the owner and mode of the path',
  },
  E_READ_ONLY: { retryable: false, actor: 'admin', hint: 'the file system is read-only; remount it read-write' },
  E_NO_SPACE: {
    retryable: true,
    actor: 'admin',
    hint: 'the storage is full; free space or add some, then run the backup again',
  },
  E_STORAGE_TIMEOUT: {
    retryable: true,
    actor: 'admin',
    hint: 'the storage does not answer; check the mount and its server',
  },
  E_STORAGE_IO: {
    retryable: true,
    actor: 'admin',
    hint: 'the storage reported an error; check dmesg, the disk or the server',
  },
  E_NAME_TAKEN: {
    retryable: true,
    actor: 'time',
    hint: 'something of that name exists already; wait a second and run the task again',
  },
  E_SNAPSHOT_MISSING: {
    retryable: false,
    actor: 'admin',
    hint: 'no such backup; vzvault list STORE shows what there is',
  },
  E_SNAPSHOT_DAMAGED: {
    retryable: false,
    actor: 'admin',
    hint: 'the document that is named is damaged; if it is a backup, restore another one; then run vzvault verify',
  },
  E_SNAPSHOT_PROTECTED: {
    retryable: false,
    actor: 'admin',
    hint: 'the backup is protected; remove the protection first',
  },
  E_VOLUME_MISSING: {
    retryable: false,
    actor: 'admin',
    hint: 'the backup has no such disk; vzvault show STORE SNAPSHOT lists its disks',
  },
  E_CHUNK_DAMAGED: {
    retryable: false,
    actor: 'admin',
    hint: 'stored data is damaged; run vzvault verify, move the pack that it names to quarantine/, and back the guest up again',
  },
  E_CHUNK_MISSING: {
    retryable: false,
    actor: 'admin',
    hint: 'stored data is missing; run vzvault verify, and back the guest up again to store it anew',
  },
  E_PACK_DAMAGED: {
    retryable: false,
    actor: 'admin',
    hint: 'a pack file is damaged; run vzvault verify to learn which backups it touches',
  },
  E_PACK_MISSING: {
    retryable: false,
    actor: 'admin',
    hint: 'a pack file is missing; run vzvault verify to learn which backups it touches',
  },
  E_SEGMENT_DAMAGED: {
    retryable: false,
    actor: 'admin',
    hint: 'an index segment is damaged; move it away and back up again, unchanged data is stored anew',
  },
  E_MAP_DAMAGED: {
    retryable: false,
    actor: 'admin',
    hint: "a disk's map is damaged; restore another backup and run vzvault verify",
  },
  E_CATALOGUE_DAMAGED: {
    retryable: false,
    actor: 'admin',
    hint: "the catalogue of a container's archive is damaged; restore another backup and run vzvault verify",
  },
  E_SUITE_UNKNOWN: {
    retryable: false,
    actor: 'admin',
    hint: 'the repository uses encryption that this version cannot open; update this node',
  },
  E_SUITE_MISMATCH: {
    retryable: false,
    actor: 'admin',
    hint: 'something in the repository was not written with its encryption; find out who put it there',
  },
  E_KEY_MISSING: {
    retryable: false,
    actor: 'admin',
    hint: "the repository is encrypted and this node has no key for it; give the storage's encryption-key or VZVAULT_KEY_FILE",
  },
  E_KEY_WRONG: {
    retryable: false,
    actor: 'admin',
    hint: 'the key or its passphrase is not one of this repository; look for the right key file or the recovery sheet',
  },
  E_GC_INCOMPLETE: {
    retryable: true,
    actor: 'admin',
    hint: 'nothing was deleted; run vzvault verify and mend what it names',
  },
  // data sources and targets
  E_SOURCE_UNREACHABLE: {
    retryable: true,
    actor: 'admin',
    hint: 'the disk to back up could not be opened; see the message',
  },
  E_SOURCE_READ: {
    retryable: true,
    actor: 'admin',
    hint: 'reading the disk failed; a full fleecing storage looks like this too',
  },
  E_SOURCE_SIZE: {
    retryable: true,
    actor: 'admin',
    hint: 'the disk has another size than announced; was it resized during the backup?',
  },
  E_SOURCE_BITMAP: {
    retryable: true,
    actor: 'time',
    hint: 'what changed on this disk is not known for sure; run the backup again, it reads the whole disk',
  },
  E_SOURCE_STALLED: {
    retryable: true,
    actor: 'admin',
    hint: 'the disk stopped answering; check the storage that the guest lives on',
  },
  E_ARCHIVE_INVALID: {
    retryable: true,
    actor: 'admin',
    hint: 'what tar sent is no archive that can be kept; look for what ended tar, or for the member that is named',
  },
  E_ARCHIVE_SOURCE: {
    retryable: true,
    actor: 'admin',
    hint: "tar failed to read the container's files; its messages stand in the task log",
  },
  E_TARGET_WRITE: { retryable: true, actor: 'admin', hint: 'writing the restored data failed; check the target' },
  E_TARGET_EXISTS: { retryable: false, actor: 'admin', hint: 'the target exists already; name another or remove it' },
  E_MOUNT_FAILED: {
    retryable: true,
    actor: 'admin',
    hint: 'the FUSE mount could not be made; is the fuse module loaded and /dev/fuse there?',
  },
  E_INTERNAL: {
    retryable: false,
    actor: 'authors',
    hint: 'this is a defect in vzvault; please report it with the log of vzvaultd',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** An error with a code of the table. `message` is one line without the code; `line` is what a person should see. */
export class VzvaultError extends Error {
  override readonly name = 'VzvaultError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message.replace(/\s*[\r\n]+\s*/g, ' '), options);
  }

  get hint(): string {
    return ERRORS[this.code].hint;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** The one line for a task log or a terminal. */
  get line(): string {
    return `${this.message} (${this.code}: ${this.hint})`;
  }
}

/** Whether it is an error of ours with one of the codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is VzvaultError {
  return error instanceof VzvaultError && codes.includes(error.code);
}

/** The only place that turns something thrown into an error of ours: what has no code is a defect, E_INTERNAL. */
export function toVzvaultError(thrown: unknown): VzvaultError {
  if (thrown instanceof VzvaultError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new VzvaultError('E_INTERNAL', message, { cause: thrown });
}
