/** bonafide.entry.v1.EntryPlan: operators see what a file of entries would change, and have it changed. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { entryContentFromProto, entryToProto } from '@bonafide/shared/rpc/codec/entry';
import { inField } from '@bonafide/shared/rpc/codec/field';
import { selectorsToProto } from '@bonafide/shared/rpc/codec/selector';
import type { EntryPlanRequest__Output } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanRequest';
import type { EntryPlanResponse } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/EntryPlanResponse';
import type { PlannedChange as PlannedChangeProto } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/PlannedChange';
import type { PlanSummary } from '@bonafide/shared/rpc/gen/bonafide/entry/v1/PlanSummary';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import { bidiHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { readMessages } from '@bonafide/shared/rpc/read-messages';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AccessScope } from '../access/scope.js';
import { callContext, type AuthorizedCallContext } from '../access/call-context.js';
import type { CallAudit } from '../audit/call-audit.js';
import type { EntryPlans, PlannedEntries } from '../entry-plan/entry-plans.js';
import { parseScope } from '../entry-plan/entry-scope.js';
import { MOST_ENTRIES, type EntryFile } from '../entry-plan/entry-file.js';
import type { PlannedChange } from '../entry-plan/planned-change.js';
import type { NewEntry } from '../registration/registration.js';

export interface EntryPlanApiOptions {
  readonly trustDomain: TrustDomain;
  readonly plans: EntryPlans;
  readonly clock: Clock;
}

interface PlanTerms {
  readonly digest: string | undefined;
  readonly scope: AccessScope | undefined;
}
type PlanWork = (file: EntryFile, terms: PlanTerms) => Promise<PlannedEntries>;

/** What one message has at most; a changed entry of ordinary size takes less than a kilobyte. */
const ITEMS_A_MESSAGE = 250;
/** Agents and workloads that are listed. */
const MOST_LISTED = 1_000;
/** Files that are held at a time: each may have thousands of entries. */
const MOST_AT_A_TIME = 4;
const READ_LIMIT_MS = 60_000;
const RETRY_AFTER_MS = 2_000;

export function createEntryPlanHandlers({
  trustDomain,
  plans,
  clock,
}: EntryPlanApiOptions): Handlers<'bonafide.entry.v1.EntryPlan'> {
  let held = 0;
  type Call = Parameters<Handlers<'bonafide.entry.v1.EntryPlan'>['PlanEntries']>[0];
  const answering =
    (work: PlanWork) =>
    async (call: Call, { signal, scope, audit }: AuthorizedCallContext): Promise<void> => {
      if (held >= MOST_AT_A_TIME) {
        throw new BonafideError(
          'resource_exhausted',
          'other files of entries are being worked on; try again',
          {
            retryAfterMs: RETRY_AFTER_MS,
          },
        );
      }
      held += 1;
      try {
        const { digest, ...file } = await within(clock, readFile(readMessages(call), trustDomain));
        if (signal.aborted) throw new BonafideError('cancelled', 'the call is over');
        const planned = await work(file, { digest, scope });
        noteApplied(audit, planned);
        for (const message of messagesOf(planned, scope)) await writeMessage(call, message, signal);
      } finally {
        held -= 1;
      }
    };
  return {
    PlanEntries: bidiHandler(
      callContext,
      answering((file, { scope }) => plans.plan(file, scope)),
    ),
    ApplyEntries: bidiHandler(
      callContext,
      answering((file, { digest, scope }) => plans.apply(file, digest, scope)),
    ),
  };
}

/** One for each entry, and one for the file. */
function noteApplied(audit: CallAudit, { plan, appliedRevision: revision }: PlannedEntries): void {
  if (revision === undefined) return;
  for (const change of plan.changes) {
    const entry = change.kind === 'create' ? { ...change.after, id: change.id } : change.before;
    const subject = { entryId: entry.id, spiffeId: entry.spiffeId };
    audit.note({ event: EVENTS[change.kind], subject, revision });
  }
  audit.note({ revision, details: { changes: plan.changes.length, digest: plan.digest } });
}

const EVENTS = { create: 'entry_created', update: 'entry_updated', delete: 'entry_deleted' } as const;

async function readFile(
  requests: AsyncIterable<EntryPlanRequest__Output>,
  trustDomain: TrustDomain,
): Promise<EntryFile & { readonly digest: string | undefined }> {
  const entries: (NewEntry | BonafideError)[] = [];
  let terms: EntryPlanRequest__Output['terms'] = null;
  for await (const request of requests) {
    terms ??= request.terms;
    if (terms === null) throw invalidArgument('terms: is missing; the first message must have it');
    if (entries.length + request.entries.length > MOST_ENTRIES) {
      throw invalidArgument(
        `the file has more than ${MOST_ENTRIES} entries, which is as many as are accepted`,
      );
    }
    entries.push(...request.entries.map(newEntry));
  }
  if (terms === null) throw invalidArgument('terms: is missing; the first message must have it');
  const { spiffeIdPrefix: prefix, prune, digest } = terms;
  return {
    scope: prefix === '' ? undefined : inField('spiffe_id_prefix', () => parseScope(prefix, trustDomain)),
    prunes: prune,
    entries,
    digest: digest === '' ? undefined : digest,
  };
}

function newEntry(entry: Entry__Output): NewEntry | BonafideError {
  try {
    return { id: entry.id === '' ? undefined : entry.id, content: entryContentFromProto(entry) };
  } catch (error) {
    if (error instanceof BonafideError) return error;
    throw error;
  }
}

/** Of a client that opened the stream and says nothing. */
function within<T>(clock: Clock, reading: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const limit = clock.schedule(READ_LIMIT_MS, () => {
      reject(
        new BonafideError('deadline_exceeded', `the file did not come within ${READ_LIMIT_MS / 1000} s`),
      );
    });
    reading
      .finally(() => {
        limit.cancel();
      })
      .then(resolve, reject);
  });
}

function* messagesOf(
  planned: PlannedEntries,
  scope: AccessScope | undefined,
): Generator<EntryPlanResponse, void, undefined> {
  const { plan, effects } = planned;
  const summary = summaryOf(planned);
  // The number of all that was ever written is no concern of a scoped admin's.
  yield { summary: scope === undefined ? summary : { ...summary, revision: 0 } };
  for (const changes of paged(plan.changes)) yield { changes: changes.map(changeToProto) };
  for (const refused of paged(plan.refused)) {
    yield { refused: refused.map(({ index, error }) => ({ index, message: error.message })) };
  }
  for (const agents of paged(effects.agents.slice(0, MOST_LISTED))) yield { agents: [...agents] };
  for (const workloads of paged(effects.workloads.slice(0, MOST_LISTED))) {
    yield {
      workloads: workloads.map(({ kind, spiffeId, selectors, agents, entryId = '' }) => ({
        kind: KINDS[kind],
        spiffeId,
        selectors: selectorsToProto(selectors),
        agents,
        entryId,
      })),
    };
  }
}

const KINDS = { gains: 'GAINS', loses: 'LOSES', renews: 'RENEWS' } as const;

function summaryOf({ plan, effects, revision, appliedRevision }: PlannedEntries): PlanSummary {
  const count = (kind: PlannedChange['kind']): number =>
    plan.changes.filter((change) => change.kind === kind).length;
  return {
    created: count('create'),
    updated: count('update'),
    deleted: count('delete'),
    unchanged: plan.unchanged,
    expired: plan.expired,
    unlisted: plan.unlisted,
    refused: plan.refused.length,
    digest: plan.digest,
    revision,
    appliedRevision: appliedRevision ?? 0,
    agents: effects.agents.length,
    workloads: effects.workloads.length,
    isPartial: effects.isPartial,
  };
}

function changeToProto(change: PlannedChange): PlannedChangeProto {
  if (change.kind === 'delete') return { before: entryToProto(change.before) };
  const registered = change.kind === 'update' ? change.before : { revisionNumber: 0, createdAt: new Date(0) };
  const id = change.kind === 'update' ? change.before.id : (change.id ?? '');
  const after = entryToProto({ ...registered, ...change.after, id });
  return change.kind === 'create'
    ? { after }
    : { before: entryToProto(change.before), after, fields: [...change.fields] };
}

function* paged<T>(items: readonly T[]): Generator<readonly T[], void, undefined> {
  for (let start = 0; start < items.length; start += ITEMS_A_MESSAGE) {
    yield items.slice(start, start + ITEMS_A_MESSAGE);
  }
}
