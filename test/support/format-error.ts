/** How the independent reader of docs/format.md refuses what the page does not allow. */

export class FormatError extends Error {
  override readonly name = 'FormatError';
}

/** Throws a FormatError with `what` unless the rule holds. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new FormatError(what);
}
