/** What tests of the audit log share. */
import { dirname } from 'node:path';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import { auditSchema } from './audit-config.js';
import type { AuditEvent } from './audit-event.js';
import { openAuditLog, type OpenAuditLogOptions, type OpenedAuditLog } from './open-audit-log.js';

/** Of one server, with a key that lives as long as the process, unless the options say otherwise. */
export function openTestAudit(
  path: string,
  { audit = {}, ...more }: { readonly audit?: object } & Partial<OpenAuditLogOptions> = {},
): Promise<OpenedAuditLog> {
  return openAuditLog({
    config: auditSchema.parse(audit),
    shortPath: path,
    dataFolder: dirname(path),
    serverId: 'one',
    keyManager: new MemoryKeyManager(),
    records: undefined,
    clock: systemClock,
    log,
    // However slow the machine is, a test knows how many records there are.
    checkpointEvery: { events: 1_000, ms: 3_600_000 },
    ...more,
  });
}

export function exampleEvent(index = 0): AuditEvent {
  return {
    event: 'x509_svid_issued',
    result: 'success',
    actor: { kind: 'local_admin', uid: 0, pid: 1 },
    requestId: `request-${index}`,
    subject: { spiffeId: `spiffe://example.org/w${index}`, entryId: `entry-${index}` },
    svid: { type: 'x509', serialNumber: `${index}`, expiresAt: new Date(1_900_000_000_000) },
  };
}
