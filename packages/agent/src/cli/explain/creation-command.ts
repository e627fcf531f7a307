/** The command that gives a process an identity of its own. */
import type { Explanation__Output as Explanation } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import { selectorText } from './report-words.js';

/** What says best which program it is: of the first of these of which a process has every kind. */
const TELLING = [['k8s:ns:', 'k8s:sa:'], ['systemd:id:'], ['unix:user:'], ['unix:uid:'], ['']] as const;

/** Undefined when the process presents nothing, or the agent has no ID yet. */
export function creationCommand({
  agent,
  attestors,
}: Pick<Explanation, 'agent' | 'attestors'>): string | undefined {
  const selectors = attestors.flatMap((finding) => finding.selectors.map(selectorText));
  const trustDomain = /^spiffe:\/\/[^/]+/.exec(agent?.agentId ?? '')?.[0];
  if (agent === null || trustDomain === undefined) return undefined;
  for (const kinds of TELLING) {
    const own = kinds.flatMap((kind) => selectors.find((text) => text.startsWith(kind)) ?? []);
    if (own.length < kinds.length) continue;
    const flags = own.map((text) => ` --selector ${quoted(text)}`).join('');
    return `bonafide-server entry create --parent-id ${agent.agentId} --spiffe-id ${trustDomain}/NAME${flags}`;
  }
  return undefined;
}

/** For a shell, where it needs it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
