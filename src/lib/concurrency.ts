/** Bounded concurrency over a list of things. */

/**
 * Calls `work` on every item, at most `limit` at once, and answers the results in the order of the items. After the first
 * rejection no further item is begun, and the returned promise rejects with it.
 */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  let next = 0;
  let failed = false;
  const runner = async (): Promise<void> => {
    for (;;) {
      const index = next;
      if (failed || index >= items.length) return;
      next += 1;
      try {
        results[index] = await work(items[index] as Item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, runner));
  return results;
}
