/** The response header by which the answer to a write names what it committed: the revisions that Delivery can be asked about. */
import { Metadata } from '@grpc/grpc-js';

const REVISIONS = 'bonafide-revision';
/** No header list of any client is too short for these. */
const MOST_REVISIONS = 500;

/** In a handler, before the answer: the messages of SPIRE have no field for it. Says nothing when nothing was committed. */
export function sendRevisions(
  call: { sendMetadata(metadata: Metadata): void },
  revisions: readonly (number | undefined)[],
): void {
  const committed = revisions.filter((revision) => revision !== undefined);
  if (committed.length === 0) return;
  const metadata = new Metadata();
  metadata.set(REVISIONS, committed.slice(-MOST_REVISIONS).join(','));
  call.sendMetadata(metadata);
}

/** In a client: what the answer's headers name; nothing for a server that does not say, such as SPIRE's. */
export function revisionsIn(headers: Metadata): readonly number[] {
  const [value] = headers.get(REVISIONS);
  if (typeof value !== 'string' || !/^\d{1,16}(,\d{1,16})*$/.test(value)) return [];
  return value
    .split(',')
    .map(Number)
    .filter((revision) => Number.isSafeInteger(revision) && revision > 0);
}
