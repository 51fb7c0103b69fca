/** The text of an ACL (docs/format.md, "ACLs"), checked from that page alone. */
import { must } from './format-error.js';

const ENTRY = /^(user|group|mask|other):(0|[1-9]\d{0,9})?:[r-][w-][x-]$/;
const [OWNER, NAMED_USER, OWNING_GROUP, NAMED_GROUP, MASK, OTHER] = [0, 1, 2, 3, 4, 5];

/** Answers the text; FormatError where it is none. */
export function mustBeAcl(text: string): string {
  let before: readonly [number, number] = [-1, 0];
  const ranks = new Set<number>();
  for (const entry of text.split(',')) {
    const [, tag = '', digits] = ENTRY.exec(entry) ?? [];
    must(tag !== '', 'an entry of an ACL has another form');
    const id = Number(digits ?? 0);
    must(id < 2 ** 32, 'an entry of an ACL has an id that is too large');
    const rank = rankOf(tag, digits !== undefined);
    must(rank > before[0] || (rank === before[0] && id > before[1]), 'an ACL is not in order');
    must(rank !== before[0] || rank === NAMED_USER || rank === NAMED_GROUP, 'an entry of an ACL stands twice');
    before = [rank, id];
    ranks.add(rank);
  }
  must(
    [OWNER, OWNING_GROUP, OTHER].every((rank) => ranks.has(rank)),
    'an ACL lacks the owner, the group or others',
  );
  must(ranks.has(MASK) || (!ranks.has(NAMED_USER) && !ranks.has(NAMED_GROUP)), 'an ACL names somebody without a mask');
  return text;
}

function rankOf(tag: string, isNamed: boolean): number {
  if (tag === 'user') return isNamed ? NAMED_USER : OWNER;
  if (tag === 'group') return isNamed ? NAMED_GROUP : OWNING_GROUP;
  must(!isNamed, 'the mask or others of an ACL have an id');
  return tag === 'mask' ? MASK : OTHER;
}
