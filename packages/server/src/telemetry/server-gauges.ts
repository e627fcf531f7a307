/** How the server stands at the moment of a scrape: what it holds, who is connected, when what it signs with ends. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { MetricRegistry, Sample } from '@bonafide/shared/telemetry/metric-registry';
import type { AuditLog } from '../audit/audit-log.js';
import type { AuthoritySlotView } from '../authority/authority-rotation.js';
import type { Store } from '../store/store.js';
import { AUTHORITY_KINDS } from './upkeep-metrics.js';

export interface ServerSources {
  readonly graph: {
    readonly size: { readonly entries: number; readonly nodes: number; readonly bundles: number };
    readonly revision: number;
  };
  readonly store: Pick<Store, 'connection' | 'currentRevision'>;
  readonly audit: Pick<AuditLog, 'ready'>;
  readonly authorities: { slots(): readonly AuthoritySlotView[]; problems(): readonly { kind: string }[] };
  readonly serverSvid: () => { readonly notAfter: Date };
  readonly watchStreams: { readonly size: number };
  readonly connections: () => { readonly tls: number; readonly admin: number };
  /** When the endpoint of each trust domain that we federate with last gave its bundle. */
  readonly federation: () => Iterable<readonly [TrustDomain, Date]>;
  readonly clock: Clock;
}

const SLOTS = ['active', 'prepared', 'old'] as const;
const MOST_TRUST_DOMAINS = 200;
/** A scrape has ten seconds, unless its configuration says otherwise. */
const DATABASE_LIMIT_MS = 3000;

export function observeServer(registry: MetricRegistry, sources: ServerSources): void {
  const { graph, store, audit, watchStreams, connections } = sources;
  const one = (name: string, help: string, read: () => number): void => {
    registry.gaugeOf(name, help, {}, () => [[{}, read()]]);
  };
  one('bonafide_entries', 'Registration entries', () => graph.size.entries);
  one('bonafide_nodes', 'Attested nodes, also those that are not connected', () => graph.size.nodes);
  one('bonafide_bundles', 'Trust bundles that are held, our own too', () => graph.size.bundles);
  one(
    'bonafide_revision',
    'The last change of the registry that this server has applied',
    () => graph.revision,
  );
  registry.gaugeOf(
    'bonafide_datastore_revision',
    'The last change in the database, whoever made it; absent while the database does not answer',
    {},
    async () => {
      const revision = await headRevision(sources);
      return revision === undefined ? [] : [[{}, revision]];
    },
  );
  one('bonafide_agents_connected', 'Agents that listen for changes here', () => watchStreams.size);
  one('bonafide_datastore_up', '1 while the database can be written', () =>
    store.connection.state.kind === 'connected' ? 1 : 0,
  );
  one('bonafide_audit_up', '1 while the audit log can be written, as far as is known', () => {
    const trial = audit.ready();
    trial?.catch(() => undefined); // the next scrape sees how it ended
    return trial === undefined ? 1 : 0;
  });
  registry.gaugeOf(
    'bonafide_connections',
    'Open connections of callers',
    { listener: ['tls', 'admin'] },
    () => {
      const { tls, admin } = connections();
      return [
        [{ listener: 'tls' }, tls],
        [{ listener: 'admin' }, admin],
      ];
    },
  );
  observeAuthorities(registry, sources);
  registry.gaugeOf(
    'bonafide_federation_refresh_timestamp_seconds',
    'When the endpoint of a federated trust domain last answered with its bundle; absent until it has',
    { trust_domain: MOST_TRUST_DOMAINS },
    () => [...sources.federation()].map(([name, at]) => [{ trust_domain: name }, seconds(at)]),
  );
}

function observeAuthorities(registry: MetricRegistry, { authorities, serverSvid }: ServerSources): void {
  registry.gaugeOf(
    'bonafide_authority_expiry_timestamp_seconds',
    'When the authority ends that signs now, and the one that is to follow',
    { kind: AUTHORITY_KINDS, slot: SLOTS },
    () =>
      authorities
        .slots()
        .flatMap(
          ({ kind, slot, notAfter }): Sample<{ kind: typeof AUTHORITY_KINDS; slot: typeof SLOTS }>[] =>
            slot === 'old' ? [] : [[{ kind, slot }, seconds(notAfter)]],
        ),
  );
  registry.gaugeOf(
    'bonafide_authorities',
    'Authorities of this server, old ones for as long as what they signed may be in use',
    { kind: AUTHORITY_KINDS, slot: SLOTS },
    () => {
      const held = authorities.slots();
      return AUTHORITY_KINDS.flatMap((kind) =>
        SLOTS.map((slot): Sample<{ kind: typeof AUTHORITY_KINDS; slot: typeof SLOTS }> => [
          { kind, slot },
          held.filter((authority) => authority.kind === kind && authority.slot === slot).length,
        ]),
      );
    },
  );
  registry.gaugeOf(
    'bonafide_authority_rotation_failing',
    '1 while an authority cannot be rotated although it is due',
    { kind: AUTHORITY_KINDS },
    () => {
      const failing = new Set(authorities.problems().map(({ kind }) => kind));
      return AUTHORITY_KINDS.map((kind) => [{ kind }, failing.has(kind) ? 1 : 0]);
    },
  );
  registry.gaugeOf(
    'bonafide_server_svid_expiry_timestamp_seconds',
    'When the SVID ends under which this server answers',
    {},
    () => [[{}, seconds(serverSvid().notAfter)]],
  );
}

async function headRevision({ store, clock }: ServerSources): Promise<number | undefined> {
  if (store.connection.state.kind === 'lost') return undefined;
  const asked = withTimeLimit(clock, DATABASE_LIMIT_MS, 'the database', store.currentRevision());
  return asked.catch(() => undefined); // seen by whoever misses it in the metrics
}

function seconds(date: Date): number {
  return date.getTime() / 1000;
}
