/** What the audit log costs issuance: batches of an agent, each told of before its answer leaves, beside the same without. */
import { performance } from 'node:perf_hooks';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { auditSchema } from '@bonafide/server/audit/audit-config';
import type { AuditEvent } from '@bonafide/server/audit/audit-event';
import { openAuditLog } from '@bonafide/server/audit/open-audit-log';
import { MemoryKeyManager } from '@bonafide/server/authority/memory-key-manager';
import { X509SvidIssuance } from '@bonafide/server/issuance/issue-x509-svid';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { median } from '../measuring/median.js';
import type { Row } from '../row.js';
import { createSampleAuthority, createSampleCsrs, SAMPLE_TRUST_DOMAIN } from './sample-authority.js';

const BATCHES = [1, 100];
/** Batches under way at once, of as many agents. */
const AGENTS = 8;
const ROUNDS = 5;
const ROUND_MS = 700;
const SPIFFE_ID = parseSpiffeId('spiffe://example.org/ns/default/sa/workload-1');
const AGENT = parseSpiffeId('spiffe://example.org/spire/agent/bench/1');

type Tell = (events: readonly AuditEvent[]) => Promise<void>;

export async function auditRows(): Promise<Row[]> {
  using directory = createTemporaryDirectory();
  const { audit, close } = await openAuditLog({
    ...{ config: auditSchema.parse({}), shortPath: directory.join('audit.log'), dataFolder: directory.path },
    ...{ serverId: 'bench', keyManager: new MemoryKeyManager(), records: undefined },
    ...{ clock: systemClock, log: silentLogger },
  });
  try {
    const csrs = await createSampleCsrs(500);
    const authority = await createSampleAuthority();
    const authorities = { activeX509: () => authority };
    const issuance = new X509SvidIssuance({
      ...{ trustDomain: SAMPLE_TRUST_DOMAIN, authorities, clock: systemClock },
    });
    const issue = async (csr: Buffer): Promise<AuditEvent> => {
      const { serialNumber, notAfter } = await issuance.issue({
        ...{ csr, spiffeId: SPIFFE_ID, dnsNames: [], ttlSeconds: 3600 },
      });
      return issued(serialNumber, notAfter);
    };
    const rows: Row[] = [];
    for (const batch of BATCHES) {
      const some = csrs.slice(0, batch);
      const told: number[] = [];
      const untold: number[] = [];
      // Round by round in turn, so that a busy neighbour disturbs both alike.
      for (let round = 0; round < ROUNDS; round += 1) {
        untold.push(await rate(some, issue, () => Promise.resolve()));
        told.push(await rate(some, issue, (events) => audit.recordAll(events)));
      }
      rows.push({
        what: `X.509-SVIDs issued and told to the audit log, ${batch} a call`,
        ...{ value: median(told), unit: '/s' },
        reference: { what: 'without it, same run', value: median(untold), unit: '/s' },
      });
    }
    return rows;
  } finally {
    await close();
  }
}

async function rate(
  csrs: readonly Buffer[],
  issue: (csr: Buffer) => Promise<AuditEvent>,
  tell: Tell,
): Promise<number> {
  const start = performance.now();
  let done = 0;
  const agent = async (): Promise<void> => {
    while (performance.now() - start < ROUND_MS) {
      await tell(await Promise.all(csrs.map(issue)));
      done += csrs.length;
    }
  };
  await Promise.all(Array.from({ length: AGENTS }, agent));
  return (done * 1000) / (performance.now() - start);
}

function issued(serialNumber: string, expiresAt: Date): AuditEvent {
  return {
    ...{ event: 'x509_svid_issued', result: 'success', requestId: 'f821530f-6133-4f2f-b143-75386d8c446a' },
    actor: { kind: 'agent', spiffeId: AGENT, address: '192.0.2.7' },
    subject: { spiffeId: SPIFFE_ID, entryId: '1c1c1f26-5692-42e5-942e-5b0519deae67', agentId: AGENT },
    svid: { type: 'x509', serialNumber, expiresAt },
  };
}
