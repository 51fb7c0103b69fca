/** What the native core offers for one directory on a mount; types.ts has the rules that hold for all of it. */

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
}

export interface FileStatus {
  readonly kind: 'file' | 'directory' | 'other';
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface Space {
  readonly totalBytes: number;
  /** What an unprivileged writer could still store. */
  readonly availableBytes: number;
  readonly usedBytes: number;
}

/**
 * One directory on a (network) mount. Names are relative, `/`-separated, and refused (E_ARGUMENT_INVALID) where they are
 * absolute or hold `..`. At most four calls run at once, further ones queue up to a bound (then E_STORAGE_TIMEOUT at once).
 */
export interface RepositoryDirectory {
  readonly path: string;
  /** E_STORAGE_IO where it is absent is never used: an absent name is null. Longer than maxBytes: E_ARGUMENT_INVALID. */
  read(name: string, maxBytes: number): Promise<Buffer | null>;
  status(name: string): Promise<FileStatus | null>;
  /** Null where the directory itself is absent. Sorted by name. */
  list(name: string): Promise<DirectoryEntry[] | null>;
  makeDirectories(name: string): Promise<void>;
  /** Durable and atomic; E_NAME_TAKEN where the name exists. Makes missing parent directories. */
  putIfAbsent(name: string, bytes: Buffer): Promise<void>;
  /** Durable and atomic; overwrites. */
  replace(name: string, bytes: Buffer): Promise<void>;
  /** False where it was absent. Works on files and empty directories. */
  remove(name: string): Promise<boolean>;
  /** Gives a file another name, durably; false where it was absent. E_NAME_TAKEN where the new name exists. Makes missing parent directories. */
  move(from: string, to: string): Promise<boolean>;
  space(): Promise<Space>;
  /** True where `path` itself (or the absolute `mountPoint` given) is a mount point, by /proc/self/mountinfo. */
  isMounted(mountPoint?: string): Promise<boolean>;
  /** How `putIfAbsent` keeps its promise here, found out by trying once per handle: makes and removes files in `tmp/`. */
  noReplace(): Promise<NoReplace>;
  close(): void;
}

/**
 * `renameat2` and `link`: exactly one of several callers that create a name wins. `none`: the file system offers neither, and a name that
 * appears at the same moment may be replaced.
 */
export type NoReplace = 'renameat2' | 'link' | 'none';
