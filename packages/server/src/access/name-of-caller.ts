/** How the audit log names callers. */
import type { Caller } from './caller.js';

export function nameOfCaller(caller: Caller): string {
  switch (caller.kind) {
    case 'local_admin':
      return `uid:${caller.uid}`;
    case 'admin':
    case 'downstream':
      return caller.spiffeId;
    case 'agent':
    case 'quarantined_agent':
      return caller.agentId;
    case 'scoped_admin':
      return caller.spiffeId ?? `uid:${caller.uid ?? 'unknown'}`;
    case 'anonymous':
      return 'anonymous';
  }
}
