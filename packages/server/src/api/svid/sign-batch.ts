/** What every batch of SVIDs to sign has in common: its size, its price, and an answer of its own for each item. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Status } from '@bonafide/shared/rpc/gen/spire/api/types/Status';
import { OK_STATUS_PROTO, statusProtoFromError } from '@bonafide/shared/rpc/status';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AuthorizedCallContext } from '../../access/call-context.js';
import type { AuditSubject } from '../../audit/audit-event.js';
import type { RateLimits } from '../../access/rate-limits.js';
import type { EntryGraph } from '../../entry-graph/entry-graph.js';

export interface BatchOptions {
  readonly rateLimits: RateLimits;
  /** Items in one call. */
  readonly largestBatch: number;
}

/** @throws BonafideError when the batch as a whole is refused: nothing in it, too much, or too much lately. */
export async function admitBatch(
  params: readonly unknown[],
  context: AuthorizedCallContext,
  { rateLimits, largestBatch }: BatchOptions,
): Promise<void> {
  if (params.length === 0) throw invalidArgument('missing parameters');
  if (params.length > largestBatch) {
    throw new BonafideError(
      'resource_exhausted',
      `rate (${params.length}) exceeds burst size (${largestBatch})`,
    );
  }
  await rateLimits.take('signing', context.peer, params.length, context.signal);
}

/**
 * @param sign what it throws is the status of its item alone.
 * @throws BonafideError when the batch as a whole is refused.
 */
export async function signBatch<Param, Svid>(
  params: readonly Param[],
  context: AuthorizedCallContext,
  options: BatchOptions & {
    /** What the audit log is told of one that could not be signed. */
    readonly subjectOf: (param: Param) => AuditSubject;
  },
  sign: (param: Param) => Promise<Svid>,
): Promise<{ readonly status: Status; readonly svid?: Svid }[]> {
  await admitBatch(params, context, options);
  return Promise.all(
    params.map(async (param) => {
      try {
        return { status: OK_STATUS_PROTO, svid: await sign(param) };
      } catch (error) {
        const status = statusProtoFromError(error, context);
        noteRefused(context, options.subjectOf(param), status.message);
        return { status };
      }
    }),
  );
}

export function noteRefused(
  { audit }: Pick<AuthorizedCallContext, 'audit'>,
  subject: AuditSubject,
  reason: string,
): void {
  audit.note({ result: 'failure', subject, reason });
}

/** @throws BonafideError `not_found` for an entry of others, as for one that does not exist. */
export function authorizedEntry(graph: EntryGraph, agentId: SpiffeId, entryId: string): RegistrationEntry {
  if (entryId === '') throw invalidArgument('missing entry ID');
  const entry = graph.authorizedEntry(agentId, entryId);
  if (entry === undefined) throw new BonafideError('not_found', 'entry not found or not authorized');
  return entry;
}

/** What an operator wishes: 0 is the default. */
export function mintedTtl(ttl: number, defaultTtlSeconds: number): number {
  if (ttl < 0) throw invalidArgument('ttl is negative');
  return ttl === 0 ? defaultTtlSeconds : ttl;
}
