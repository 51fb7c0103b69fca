/** The order of an archive's members (docs/format.md, "Order"), checked from that page alone. */
import type { Member } from './format-catalogue.js';
import { must } from './format-error.js';

const MAX_MEMBERS = 2 ** 26;
const ROOT = '';

export class MemberOrder {
  readonly #types = new Map<string, Member['type']>();
  /** Directories that no member told of, and none may from now on. */
  readonly #untold = new Set<string>();

  /** Takes the next member; FormatError where it cannot stand behind those before it. */
  add({ type, path, target }: Pick<Member, 'type' | 'path' | 'target'>): void {
    must(!this.#types.has(path), 'two members have one path');
    must(!this.#untold.has(path), 'a member comes after what lies in it');
    for (const directory of above(path)) {
      const told = this.#types.get(directory);
      must(told === undefined || told === 'directory', 'a member lies below what is no directory');
      if (told === undefined) this.#untold.add(directory);
    }
    if (type === 'hard link') {
      const linked = this.#types.get(target ?? '');
      must(linked !== undefined, 'a hard link leads to no earlier member');
      must(linked !== 'directory', 'a hard link leads to a directory');
    }
    this.#types.set(path, type);
    must(this.#types.size + this.#untold.size <= MAX_MEMBERS, 'an archive has too many members');
  }
}

/** The directories that a path lies in, the root among them. */
function above(path: string): string[] {
  if (path === ROOT) return [];
  const components = path.split('/').slice(0, -1);
  return [ROOT, ...components.map((_, index) => components.slice(0, index + 1).join('/'))];
}
