/** What an operator does about a process that has no identity: the likeliest remedies first. */
import type { Explanation__Output as Explanation } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import type { MissingSelector__Output as MissingSelector } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/MissingSelector';
import type { NearMiss__Output as NearMiss } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/NearMiss';
import { creationCommand } from './creation-command.js';
import { isSlip } from './near-miss-text.js';
import { selectorText, span } from './report-words.js';
import { WITHHELD } from './withheld-reasons.js';

const MOST = 3;
/** Proven only when the attestor is told to look. */
const LOOKED_UP_ON_REQUEST = /^(path|sha256):/;

export function advice(explanation: Explanation): readonly string[] {
  const remedies = new Set(remediesFor(explanation));
  const likeliest = [...remedies].slice(0, MOST);
  // Always possible, and seldom what was forgotten when something else looks wrong.
  const creation = likeliest.length < MOST ? creationOf(explanation, likeliest.length > 0) : [];
  const items = [...likeliest.map((remedy) => [remedy]), ...(creation.length === 0 ? [] : [creation])];
  if (items.length === 0) return [];
  return ['What to do', ...items.flatMap(([text = '', ...commands]) => itemLines(text, commands))];
}

function itemLines(text: string, commands: readonly string[]): readonly string[] {
  return [`  - ${text}`, ...commands.map((command) => `      ${command}`)];
}

function* remediesFor(explanation: Explanation): Generator<string, undefined> {
  const { agent, attestors, departed, isPartial, matched, nearMisses, now, process, server } = explanation;
  if (agent?.isQuarantined === true) {
    yield "Look at the node ('bonafide-server agent show'), and let it back with 'bonafide-server agent release'";
    return undefined;
  }
  for (const { problem, state } of matched) {
    yield state === 'ON_DEMAND' || state === 'SIGNING'
      ? 'Let the process ask the Workload API: its X.509-SVID comes with the answer'
      : `See to it that the server can sign${problem === '' ? '' : `: ${problem}`}`;
  }
  for (const { attestor, problem } of attestors) {
    if (problem !== '') yield `Mend what the attestor ${attestor} complains of, and ask again`;
  }
  if (agent !== null && !agent.isConnected) {
    const since =
      agent.lastSyncAt === 0
        ? ''
        : `: what changed in the last ${span(now - agent.lastSyncAt)} is not known here`;
    yield `Bring back the connection to the server ${agent.serverAddress}`.trimEnd() + since;
  }
  if (isPartial) {
    yield `Ask whoever runs the agent for 'bonafide-agent explain --pid ${process?.pid ?? 0}', which says more`;
    return undefined;
  }
  if (matched.length > 0) return undefined;
  const agentId = agent?.agentId ?? '';
  for (const { entryId, reason } of server?.entries ?? []) {
    // A slip in a selector is likelier than an entry of another node that fits by chance.
    if (reason !== 'OTHER_PARENT') yield* adviceOf(reason, entryId, agentId);
  }
  const [latest] = departed;
  if (latest !== undefined && nearMisses.every((miss) => miss.entryId !== latest.entryId)) {
    yield `Create the entry of ${latest.spiffeId} anew, if it was not taken away on purpose`;
  }
  const meant = nearMisses.filter(isCorrectable);
  for (const miss of meant) yield correction(miss);
  for (const { entryId, reason } of server?.entries ?? []) yield* adviceOf(reason, entryId, agentId);
  for (const { missing } of nearMisses) for (const each of missing) yield* configuration(each);
  return undefined;
}

function adviceOf(reason: string, entryId: string, agentId: string): readonly string[] {
  const known = WITHHELD[reason];
  return known === undefined ? [] : [known.advice(entryId, agentId)];
}

/** Nothing but slips, or one value besides what matches. */
function isCorrectable({ missing, missingCount, selectorCount }: NearMiss): boolean {
  if (missing.every(isSlip)) return true;
  const [only] = missing;
  return missingCount === 1 && selectorCount > 1 && only?.hint === 'DIFFERS' && only.presented.length === 1;
}

function correction({ entryId, missing }: NearMiss): string {
  const changes = missing.map(
    ({ presented: [had], selector }) => `${selectorText(selector)} with ${selectorText(had ?? null)}`,
  );
  return `Replace ${changes.join(', ')} in entry ${entryId} ('bonafide-server entry update'), if it is meant for this process`;
}

function configuration({ hint, selector, similarAttestor }: MissingSelector): readonly string[] {
  const { type = '', value = '' } = selector ?? {};
  if (hint === 'ATTESTOR_NOT_CONFIGURED' && similarAttestor === '') {
    return [
      `Add the attestor ${type} to plugins.WorkloadAttestor of the agent's configuration, if entries are to ask for ${type}:…`,
    ];
  }
  if (hint === 'KIND_NOT_PRESENTED' && type === 'unix' && LOOKED_UP_ON_REQUEST.test(value)) {
    return [
      'Set discover_workload_path: true for the attestor unix: unix:path and unix:sha256 are not looked up without it',
    ];
  }
  return [];
}

/** Not while something else may be all that is wrong. */
function creationOf(explanation: Explanation, isAlternative: boolean): readonly string[] {
  const { agent, attestors, isPartial, matched } = explanation;
  const isWhole = agent?.isConnected === true && attestors.every(({ problem }) => problem === '');
  if (isPartial || matched.length > 0 || !isWhole || agent.isQuarantined) return [];
  const command = creationCommand(explanation);
  if (command === undefined) return [];
  return [isAlternative ? 'Or create an entry for it:' : 'Create an entry for it:', command];
}
