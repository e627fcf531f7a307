/** Requests that change the bundles or relationships of several trust domains at once. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { sendRevisions } from '@bonafide/shared/rpc/revision-header';
import { OK_STATUS_PROTO, statusProtoFromError } from '@bonafide/shared/rpc/status';
import type { AuthorizedCallContext } from '../../access/call-context.js';

const MAX_ITEMS = 500;

interface Batch<Item> {
  readonly call: Parameters<typeof sendRevisions>[0];
  readonly context: AuthorizedCallContext;
  readonly items: readonly Item[];
  /** The trust domain that an item names, as the audit log tells it. */
  readonly nameOf: (item: Item) => string;
}

interface WrittenItem<Answer> {
  readonly revision: number;
  readonly answer: Answer;
}

interface ItemStatus {
  readonly status: { readonly code: number; readonly message: string };
}

/** One after the other, as each is a transaction; every item has a status of its own. @throws BonafideError `invalid_argument` for too many. */
export async function writeEachTrustDomain<Item, Answer extends object>(
  { call, context, items, nameOf }: Batch<Item>,
  write: (item: Item) => Promise<WrittenItem<Answer>>,
): Promise<(ItemStatus | (Answer & ItemStatus))[]> {
  if (items.length > MAX_ITEMS) {
    throw invalidArgument(`${items.length} items are too many; at most ${MAX_ITEMS} are accepted`);
  }
  const results: (ItemStatus | (Answer & ItemStatus))[] = [];
  const revisions: number[] = [];
  for (const item of items) {
    const subject = { trustDomain: nameOf(item) };
    try {
      const { revision, answer } = await write(item);
      revisions.push(revision);
      context.audit.note({ subject, revision });
      results.push({ ...answer, status: OK_STATUS_PROTO });
    } catch (error) {
      const status = statusProtoFromError(error, context);
      context.audit.note({ result: 'failure', subject, reason: status.message });
      results.push({ status });
    }
  }
  sendRevisions(call, revisions);
  return results;
}
