/** For servers without Watch, such as SPIRE's: asks what is authorized and fetches only entries that are new or have changed. */
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { entryFromProto } from '@bonafide/shared/rpc/codec/entry';
import type { SyncAuthorizedEntriesResponse__Output } from '@bonafide/shared/rpc/gen/spire/api/server/entry/v1/SyncAuthorizedEntriesResponse';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { ServerChannel } from '../agent-identity/server-connection.js';
import type { AuthorizedSnapshot } from '../svid-cache/authorized-change.js';

interface PollEntriesOptions {
  readonly channel: Pick<ServerChannel, 'client'>;
  /** What is held already, by id. */
  readonly known: (entryId: string) => RegistrationEntry | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const LIMIT_MS = 30_000;
/** Messages of one poll: more than a million entries need, twice over. */
const MOST_PAGES = 10_000;

const ENTRY_MASK = {
  spiffeId: true,
  parentId: true,
  selectors: true,
  x509SvidTtl: true,
  jwtSvidTtl: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  expiresAt: true,
  dnsNames: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  createdAt: true,
  additionalAttributes: true,
} as const;

/** @throws BonafideError as the server's calls do. */
export async function pollEntries(options: PollEntriesOptions): Promise<AuthorizedSnapshot> {
  const entries = await fetchEntries(options);
  const bundles = await fetchBundles(options, entries);
  return { kind: 'snapshot', entries, bundles };
}

async function fetchEntries(options: PollEntriesOptions): Promise<readonly RegistrationEntry[]> {
  try {
    return await syncEntries(options);
  } catch (error) {
    // Servers of SPIRE before 1.8.7 know only the call that always tells everything.
    if (!hasReason(error, 'unimplemented')) throw error;
  }
  const { channel, log, signal } = options;
  const client = channel.client('spire.api.server.entry.v1.Entry');
  const settings = { deadlineMs: LIMIT_MS, signal };
  const { entries } = await callUnary(client, 'GetAuthorizedEntries', { outputMask: ENTRY_MASK }, settings);
  return readEntries(entries, log);
}

async function syncEntries({
  channel,
  known,
  log,
  signal,
}: PollEntriesOptions): Promise<readonly RegistrationEntry[]> {
  const client = channel.client('spire.api.server.entry.v1.Entry');
  const stream = openBidiStream(client, 'SyncAuthorizedEntries', { deadlineMs: LIMIT_MS, signal });
  let pages = 0;
  const receive = async (): Promise<SyncAuthorizedEntriesResponse__Output> => {
    const { value } = await stream.messages.next();
    if (value === undefined)
      throw new BonafideError('internal', 'the server ended the synchronization early');
    pages += 1;
    // Half an answer would take entries from their workloads.
    if (pages > MOST_PAGES) throw new BonafideError('internal', `the server sent over ${MOST_PAGES} pages`);
    return value;
  };
  const entries: RegistrationEntry[] = [];
  const missing: string[] = [];
  try {
    await stream.send({ outputMask: ENTRY_MASK });
    let page = await receive();
    // A server with few entries sends them whole at once.
    if (page.entryRevisions.length === 0) return readEntries(page.entries, log);
    const pageSize = page.entryRevisions.length;
    for (;;) {
      for (const { id, revisionNumber, createdAt } of page.entryRevisions) {
        const held = known(id);
        const isCurrent =
          held?.revisionNumber === revisionNumber &&
          (createdAt === 0 || unixSeconds(held.createdAt) === createdAt);
        if (isCurrent) entries.push(held);
        else missing.push(id);
      }
      if (!page.more) break;
      page = await receive();
    }
    for (let start = 0; start < missing.length; start += pageSize) {
      await stream.send({ ids: missing.slice(start, start + pageSize) });
      do {
        page = await receive();
        entries.push(...readEntries(page.entries, log));
      } while (page.more);
    }
  } finally {
    stream.cancel();
  }
  return entries;
}

/** An entry that we cannot read must not keep all the others from their workloads. */
function readEntries(entries: readonly Entry__Output[], log: Logger): readonly RegistrationEntry[] {
  return entries.flatMap((entry) => {
    try {
      return [entryFromProto(entry)];
    } catch (error) {
      log.warn(
        { entryId: entry.id },
        `ignoring an entry that the server sent malformed: ${errorMessage(error)}`,
      );
      return [];
    }
  });
}

async function fetchBundles(
  { channel, signal }: PollEntriesOptions,
  entries: readonly RegistrationEntry[],
): Promise<readonly TrustBundle[]> {
  const client = channel.client('spire.api.server.bundle.v1.Bundle');
  const settings = { deadlineMs: LIMIT_MS, signal };
  const bundles = [bundleFromProto(await callUnary(client, 'GetBundle', {}, settings))];
  for (const trustDomain of new Set<TrustDomain>(entries.flatMap(({ federatesWith }) => federatesWith))) {
    try {
      bundles.push(bundleFromProto(await callUnary(client, 'GetFederatedBundle', { trustDomain }, settings)));
    } catch (error) {
      // The entry may name a trust domain whose bundle has not been set yet.
      if (!hasReason(error, 'not_found')) throw error;
    }
  }
  return bundles;
}
