/** One thing that SPIRE's server and ours decide differently. */
import type { JsonValue } from '@bonafide/shared/cli/output';

export interface Difference {
  readonly kind: 'entry' | 'agent' | 'bundle' | 'federation';
  /** The id of the entry, the SPIFFE ID of the agent, the trust domain. */
  readonly name: string;
  /** `missing`: at SPIRE and not here; `extra`: here and not at SPIRE. */
  readonly what: 'missing' | 'extra' | 'differs';
  /** The SPIFFE ID of an entry, or what exactly it is of a bundle. */
  readonly detail: string;
  /** Of `differs`. */
  readonly fields: readonly string[];
  /** The agents that would be given something else, sorted. */
  readonly agents: readonly string[];
}

const SHOWN_AGENTS = 3;

/** One line. Equal texts are the same difference. */
export function differenceText({ kind, name, what, detail, fields, agents }: Difference): string {
  const subject = `${kind} ${name}${detail === '' ? '' : ` (${detail})`}`;
  const verdict =
    what === 'missing'
      ? 'is at SPIRE and not here'
      : what === 'extra'
        ? 'is here and not at SPIRE'
        : `differs in ${fields.join(', ')}`;
  return `${subject} ${verdict}${kind === 'entry' ? agentsText(agents) : ''}`;
}

export function differenceJson({ kind, name, what, detail, fields, agents }: Difference): JsonValue {
  return { kind, name, what, ...(detail === '' ? {} : { detail }), fields, agents };
}

function agentsText(agents: readonly string[]): string {
  if (agents.length === 0) return '; no agent has it now';
  const shown = agents.slice(0, SHOWN_AGENTS).join(', ');
  const more = agents.length - SHOWN_AGENTS;
  return `; for ${agents.length === 1 ? 'the agent' : `${agents.length} agents`} ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}
