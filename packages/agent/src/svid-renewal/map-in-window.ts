/** Works through a list a few items at a time: enough to keep the thread pool busy, few enough for the event loop to stay free. */

const WINDOW = 6;

/** In the order of the items. The first failure is thrown. */
export async function mapInWindow<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  const remaining = items.entries();
  const workThrough = async (): Promise<void> => {
    for (const [index, item] of remaining) results[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(WINDOW, items.length) }, workThrough));
  return results;
}
