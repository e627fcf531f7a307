/** Entries in pieces that fit a message. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';

const MAX_ENTRIES_A_MESSAGE = 500;
/** gRPC clients take 4 MiB by default; the largest entry that registration accepts is well below 3. */
const MAX_BYTES_A_MESSAGE = 1024 * 1024;
const FIXED_BYTES = 160;

/** At least one page, which may be empty. */
export function* entryPages(
  entries: Iterable<RegistrationEntry>,
): Generator<{ readonly entries: readonly RegistrationEntry[]; readonly isLast: boolean }, void, undefined> {
  let page: RegistrationEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = estimatedBytes(entry);
    if (page.length > 0 && (page.length >= MAX_ENTRIES_A_MESSAGE || bytes + size > MAX_BYTES_A_MESSAGE)) {
      yield { entries: page, isLast: false };
      page = [];
      bytes = 0;
    }
    page.push(entry);
    bytes += size;
  }
  yield { entries: page, isLast: true };
}

function estimatedBytes(entry: RegistrationEntry): number {
  let bytes = FIXED_BYTES + entry.id.length + entry.spiffeId.length + entry.parentId.length;
  bytes += (entry.hint?.length ?? 0) * 3;
  for (const { type, value } of entry.selectors)
    bytes += 6 + Buffer.byteLength(type) + Buffer.byteLength(value);
  for (const name of entry.dnsNames) bytes += 2 + name.length;
  for (const trustDomain of entry.federatesWith) bytes += 2 + trustDomain.length;
  return bytes;
}
