/** What tests lend to workload attestors. */
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WorkloadAttestorHost } from './workload-attestor.js';

/** @param changes what is to differ from this machine, its clock, and a log that nobody reads. */
export function attestorHost(changes: Partial<WorkloadAttestorHost> = {}): WorkloadAttestorHost {
  return {
    trustDomain: parseTrustDomain('example.org'),
    clock: systemClock,
    log: silentLogger,
    passwdPath: '/etc/passwd',
    groupPath: '/etc/group',
    ...changes,
  };
}
