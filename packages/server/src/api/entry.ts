/** spire.api.server.entry.v1.Entry: operators say what may exist, agents ask what is theirs. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { entryContentFromProto, entryToProto, entryUpdateFromProto } from '@bonafide/shared/rpc/codec/entry';
import { entryMaskFromProto } from '@bonafide/shared/rpc/codec/entry-mask';
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { sendRevisions } from '@bonafide/shared/rpc/revision-header';
import { OK_STATUS_PROTO, statusProtoFromError, toServiceError } from '@bonafide/shared/rpc/status';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext, callingAgent, type AuthorizedCallContext } from '../access/call-context.js';
import type { BatchResult, Registration } from '../registration/registration.js';
import { ownEntryFilter } from './request/entry-filter.js';
import { pageFromProto } from './request/page.js';
import { syncAuthorizedEntriesHandler, type PolledRegistry } from './sync-authorized-entries.js';

export interface EntryApiOptions extends PolledRegistry {
  readonly trustDomain: TrustDomain;
  readonly registration: Registration;
}

export function createEntryHandlers(options: EntryApiOptions): Handlers<'spire.api.server.entry.v1.Entry'> {
  const { trustDomain, registration, graph, receipts, polls } = options;
  return {
    CountEntries: unaryHandler(callContext, async ({ filter }, _call, { scope }) => ({
      count: await registration.countEntries(ownEntryFilter(filter, trustDomain, scope)),
    })),

    ListEntries: unaryHandler(callContext, async (request, _call, { scope }) => {
      const filter = ownEntryFilter(request.filter, trustDomain, scope);
      const page = await registration.listEntries(filter, pageFromProto(request));
      return {
        entries: page.items.map((entry) => entryToProto(entry, request.outputMask)),
        nextPageToken: page.nextPageToken ?? '',
      };
    }),

    GetEntry: unaryHandler(callContext, async ({ id, outputMask }, _call, { scope }) => {
      if (id === '') throw invalidArgument('missing ID');
      const entry = await registration.getEntry(id, scope);
      if (entry === undefined) throw new BonafideError('not_found', 'entry not found');
      return entryToProto(entry, outputMask);
    }),

    BatchCreateEntry: unaryHandler(callContext, async ({ entries, outputMask }, call, context) => {
      const { outcomes, revision } = await decodedBatch(
        entries,
        (entry) => ({ id: entry.id || undefined, content: entryContentFromProto(entry) }),
        (items) => registration.createEntries(items, context.scope),
      );
      sendRevisions(call, shown(revision, context));
      return {
        results: outcomes.map((outcome, index) => {
          noteEntry(context, outcome, entries[index], revision);
          if (outcome.kind === 'refused') return { status: statusProtoFromError(outcome.error, context) };
          const entry = entryToProto(outcome.entry, outputMask);
          if (outcome.kind === 'created') return { status: OK_STATUS_PROTO, entry };
          const similar = new BonafideError('already_exists', 'similar entry already exists');
          return { status: statusProtoFromError(similar, context), entry };
        }),
      };
    }),

    BatchUpdateEntry: unaryHandler(callContext, async ({ entries, inputMask, outputMask }, call, context) => {
      const { outcomes, revision } = await decodedBatch(
        entries,
        (entry) => {
          const { id, content: changes } = entryUpdateFromProto(entry, entryMaskFromProto(inputMask));
          return { id, changes };
        },
        (items) => registration.updateEntries(items, context.scope),
      );
      sendRevisions(call, shown(revision, context));
      return {
        results: outcomes.map((outcome, index) => {
          noteEntry(context, outcome, entries[index], revision);
          return outcome.kind === 'refused'
            ? { status: statusProtoFromError(outcome.error, context) }
            : { status: OK_STATUS_PROTO, entry: entryToProto(outcome.entry, outputMask) };
        }),
      };
    }),

    BatchDeleteEntry: unaryHandler(callContext, async ({ ids }, call, context) => {
      const { outcomes, revision } = await registration.deleteEntries(ids, context.scope);
      sendRevisions(call, shown(revision, context));
      return {
        results: outcomes.map((outcome, index) => {
          noteEntry(context, outcome, { id: ids[index] ?? '' }, revision);
          return {
            id: ids[index] ?? '',
            status:
              outcome.kind === 'refused' ? statusProtoFromError(outcome.error, context) : OK_STATUS_PROTO,
          };
        }),
      };
    }),

    GetAuthorizedEntries: unaryHandler(callContext, async ({ outputMask }, _call, context) => {
      const { agentId } = callingAgent(context);
      polls.begin(agentId, context.signal);
      const entries = graph.authorizedEntries(agentId);
      receipts.polled(agentId, graph.revision);
      return { entries: await polls.encode(entries, (entry) => entryToProto(entry, outputMask)) };
    }),

    SyncAuthorizedEntries: syncAuthorizedEntriesHandler(options),
  };
}

/** The number grows with whatever anybody writes, which is no concern of a scoped admin's. */
function shown(revision: number | undefined, { scope }: AuthorizedCallContext): (number | undefined)[] {
  return scope === undefined ? [revision] : [];
}

type EntryOutcome =
  | { readonly kind: 'refused'; readonly error: BonafideError }
  | { readonly kind: string; readonly entry?: RegistrationEntry };

function noteEntry(
  { audit, requestId }: AuthorizedCallContext,
  outcome: EntryOutcome,
  asked: { readonly id: string } | undefined,
  revision: number | undefined,
): void {
  if ('error' in outcome) {
    const { details: reason } = toServiceError(outcome.error, requestId);
    const result = outcome.error.reason === 'permission_denied' ? 'denied' : 'failure';
    audit.note({ result, subject: { entryId: asked?.id || undefined }, reason });
    return;
  }
  const { entry, kind } = outcome;
  const subject = { entryId: entry?.id ?? asked?.id, spiffeId: entry?.spiffeId };
  if (kind === 'similar') audit.note({ result: 'failure', subject, reason: 'similar entry already exists' });
  else audit.note({ subject, revision });
}

interface Malformed {
  readonly kind: 'refused';
  readonly error: BonafideError;
}

const NOTHING_DONE: BatchResult<never> = { outcomes: [], revision: undefined };

/** Decodes each item, has those that make sense worked on together, and puts all outcomes back in the order of the request. */
async function decodedBatch<Item, Outcome>(
  entries: readonly Entry__Output[],
  decode: (entry: Entry__Output) => Item,
  work: (items: readonly Item[]) => Promise<BatchResult<Outcome>>,
): Promise<BatchResult<Outcome | Malformed>> {
  const items: Item[] = [];
  const malformed = entries.map((entry) => {
    try {
      items.push(decode(entry));
      return undefined;
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      return { kind: 'refused', error: conversionFailed(error) } as const;
    }
  });
  const worked = items.length === 0 ? NOTHING_DONE : await work(items);
  const remaining = worked.outcomes.values();
  const outcomes = malformed.map((refusal) => {
    if (refusal !== undefined) return refusal;
    const { value } = remaining.next();
    if (value === undefined) throw new BonafideError('internal', 'a batch has fewer outcomes than items');
    return value;
  });
  return { outcomes, revision: worked.revision };
}

function conversionFailed(error: BonafideError): BonafideError {
  return new BonafideError(error.reason, `failed to convert entry: ${error.message}`, { cause: error });
}
