/** Lists that the server gives in pages, read to their end. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export interface PageRequest {
  readonly pageSize: number;
  /** Empty for the first. */
  readonly pageToken: string;
}

interface ListedPage<Item> {
  readonly items: readonly Item[];
  /** Empty after the last. */
  readonly nextPageToken: string;
}

const PAGE_SIZE = 500;
/** Far beyond any registry: a server that gives pages without an end is not followed. */
const MOST_PAGES = 20_000;

/**
 * @param onItems told how many items each page brought.
 * @throws BonafideError what `read` throws; `internal` when the list has no end.
 */
export async function listPages<Item>(
  read: (page: PageRequest) => Promise<ListedPage<Item>>,
  onItems: (count: number) => void = () => undefined,
): Promise<readonly Item[]> {
  const found: Item[] = [];
  let pageToken = '';
  for (let count = 0; count < MOST_PAGES; count += 1) {
    const { items, nextPageToken } = await read({ pageSize: PAGE_SIZE, pageToken });
    onItems(items.length);
    for (const item of items) found.push(item);
    if (nextPageToken === '') return found;
    if (nextPageToken === pageToken)
      throw new BonafideError('internal', 'the server gave the same page twice');
    pageToken = nextPageToken;
  }
  throw new BonafideError('internal', 'the server gave pages without an end');
}
