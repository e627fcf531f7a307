/** Callers as the audit log names them. */
import { isAgentId, parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AuditActor } from '../audit/audit-event.js';
import type { Caller } from './caller.js';
import type { Peer } from './peer.js';

export function actorOf(caller: Caller, peer: Peer): AuditActor {
  const from = peer.kind === 'local' ? { uid: peer.uid, pid: peer.pid } : { address: peer.address };
  switch (caller.kind) {
    case 'agent':
    case 'quarantined_agent':
      return { kind: caller.kind, spiffeId: caller.agentId, ...from };
    case 'local_admin':
    case 'anonymous':
      return { kind: caller.kind, ...from };
    case 'admin':
    case 'scoped_admin':
    case 'downstream':
      return { kind: caller.kind, spiffeId: caller.spiffeId, ...from };
  }
}

/** The other way for names by `nameOfCaller`, and for `server` and `webhook`. */
export function actorNamed(name: string): AuditActor {
  if (name === 'server' || name === 'webhook') return { kind: name };
  const uid = /^uid:(\d+)$/.exec(name)?.[1];
  if (uid !== undefined) return { kind: 'local_admin', uid: Number(uid) };
  if (!name.startsWith('spiffe://')) return { kind: 'unknown' };
  const spiffeId = parseSpiffeId(name);
  return { kind: isAgentId(spiffeId) ? 'agent' : 'admin', spiffeId };
}
