/** The messages of the Watch stream (bonafide.sync.v1) on the wire. */
import { invalidArgument } from '../../errors/bonafide-error.js';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.js';
import type {
  WatchCursor,
  WatchDelta,
  WatchRequest,
  WatchResponse,
  WatchSnapshotPage,
} from '../../sync/watch-message.js';
import type { Delta__Output } from '../gen/bonafide/sync/v1/Delta.js';
import type { Hello__Output } from '../gen/bonafide/sync/v1/Hello.js';
import type { SnapshotPage__Output } from '../gen/bonafide/sync/v1/SnapshotPage.js';
import type {
  WatchRequest as WatchRequestProto,
  WatchRequest__Output,
} from '../gen/bonafide/sync/v1/WatchRequest.js';
import type {
  WatchResponse as WatchResponseProto,
  WatchResponse__Output,
} from '../gen/bonafide/sync/v1/WatchResponse.js';
import { bundleFromProto, bundleToProto } from './bundle.js';
import { entryFromProto, entryIdFromProto, entryToProto } from './entry.js';
import { countFromProto, inField, listFromProto, requireField, textFromProto } from './field.js';
import { MAX_AGENT_VERSION_BYTES, MAX_LOG_ID_BYTES, MAX_WATCH_ITEMS } from './limits.js';

/** @throws BonafideError `invalid_argument`. */
export function watchRequestFromProto(request: WatchRequest__Output): WatchRequest {
  switch (request.step) {
    case 'hello':
      return inField('hello', () => helloFromProto(requireField('step', request.hello)));
    case 'acknowledgement': {
      const { revision } = requireField('acknowledgement', request.acknowledgement);
      return { kind: 'acknowledgement', revision: countFromProto('acknowledgement: revision', revision) };
    }
    case undefined:
      break;
  }
  throw invalidArgument('step: is missing; expected hello or acknowledgement');
}

export function watchRequestToProto(request: WatchRequest): WatchRequestProto {
  switch (request.kind) {
    case 'hello': {
      const { cursor, agentVersion } = request;
      return { hello: { logId: cursor?.logId ?? '', revision: cursor?.revision ?? 0, agentVersion } };
    }
    case 'acknowledgement':
      return { acknowledgement: { revision: request.revision } };
  }
}

/** @throws BonafideError `invalid_argument`. */
export function watchResponseFromProto(response: WatchResponse__Output): WatchResponse {
  switch (response.step) {
    case 'snapshotPage':
      return inField('snapshot_page', () => pageFromProto(requireField('step', response.snapshotPage)));
    case 'delta':
      return inField('delta', () => deltaFromProto(requireField('step', response.delta)));
    case 'drain': {
      const { spreadMs } = requireField('step', response.drain);
      return { kind: 'drain', spreadMs: countFromProto('drain: spread_ms', spreadMs) };
    }
    case 'proofRequest':
      return { kind: 'proof_request' };
    case undefined:
      break;
  }
  throw invalidArgument('step: is missing; expected snapshot_page, delta, drain or proof_request');
}

export function watchResponseToProto(response: WatchResponse): WatchResponseProto {
  switch (response.kind) {
    case 'snapshot_page':
      return {
        snapshotPage: {
          logId: response.logId,
          revision: response.revision,
          entries: response.entries.map((entry) => entryToProto(entry)),
          bundles: response.bundles.map((bundle) => bundleToProto(bundle)),
          isLast: response.isLast,
        },
      };
    case 'delta':
      return {
        delta: {
          logId: response.logId,
          revision: response.revision,
          upsertedEntries: response.upsertedEntries.map((entry) => entryToProto(entry)),
          removedEntryIds: [...response.removedEntryIds],
          upsertedBundles: response.upsertedBundles.map((bundle) => bundleToProto(bundle)),
          removedBundleTrustDomains: [...response.removedBundleTrustDomains],
        },
      };
    case 'drain':
      return { drain: { spreadMs: response.spreadMs } };
    case 'proof_request':
      return { proofRequest: {} };
  }
}

function helloFromProto({ logId, revision, agentVersion }: Hello__Output): WatchRequest {
  return {
    kind: 'hello',
    cursor: logId === '' ? undefined : cursorFromProto({ logId, revision }),
    agentVersion: textFromProto('agent_version', agentVersion, MAX_AGENT_VERSION_BYTES),
  };
}

function pageFromProto(page: SnapshotPage__Output): WatchSnapshotPage {
  return {
    kind: 'snapshot_page',
    ...cursorFromProto(page),
    entries: listFromProto('entries', page.entries, MAX_WATCH_ITEMS, entryFromProto),
    bundles: listFromProto('bundles', page.bundles, MAX_WATCH_ITEMS, bundleFromProto),
    isLast: page.isLast,
  };
}

function deltaFromProto(delta: Delta__Output): WatchDelta {
  return {
    kind: 'delta',
    ...cursorFromProto(delta),
    upsertedEntries: listFromProto(
      'upserted_entries',
      delta.upsertedEntries,
      MAX_WATCH_ITEMS,
      entryFromProto,
    ),
    removedEntryIds: listFromProto('removed_entry_ids', delta.removedEntryIds, MAX_WATCH_ITEMS, (id) =>
      entryIdFromProto(id),
    ),
    upsertedBundles: listFromProto(
      'upserted_bundles',
      delta.upsertedBundles,
      MAX_WATCH_ITEMS,
      bundleFromProto,
    ),
    removedBundleTrustDomains: listFromProto(
      'removed_bundle_trust_domains',
      delta.removedBundleTrustDomains,
      MAX_WATCH_ITEMS,
      parseTrustDomain,
    ),
  };
}

function cursorFromProto({ logId, revision }: WatchCursor): WatchCursor {
  return {
    logId: textFromProto('log_id', logId, MAX_LOG_ID_BYTES),
    revision: countFromProto('revision', revision),
  };
}
