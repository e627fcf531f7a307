/** An explanation for people: the answer, who the process is, what decides about its identity, and what to do. */
import type { Explanation__Output as Explanation } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import type { MatchedEntry__Output as MatchedEntry } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/MatchedEntry';
import type { ServerWord__Output as ServerWord } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/ServerWord';
import { advice } from './explain-advice.js';
import { nearMissLines } from './near-miss-text.js';
import { processText } from './process-text.js';
import { ago, instant, printable, selectorText, span, table } from './report-words.js';
import { WITHHELD } from './withheld-reasons.js';

/** Whether the Workload API hands the process an X.509-SVID. */
export function isServed({ matched }: Explanation): boolean {
  return matched.some(isHeld);
}

export function explainText(explanation: Explanation): string {
  const sections = [
    [verdict(explanation)],
    attestorLines(explanation),
    matchedLines(explanation),
    // Whoever has an identity seldom asks for others.
    ...(isServed(explanation) ? [] : whatIsNot(explanation)),
    processText(explanation),
    agentLines(explanation),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => `${lines.map(printable).join('\n')}\n`)
    .join('\n');
}

function whatIsNot(explanation: Explanation): readonly (readonly string[])[] {
  return [
    nearMissLines(explanation),
    departedLines(explanation),
    explanation.agent?.isQuarantined === true ? [] : serverLines(explanation.server),
    advice(explanation),
  ];
}

function verdict(explanation: Explanation): string {
  const { agent, attestationProblem, isPartial, matched, process } = explanation;
  const who = `Process ${process?.pid ?? 0}${process?.name ? ` (${process.name})` : ''}`;
  const [first, ...others] = matched.filter(isHeld);
  if (first !== undefined) {
    const more = others.length === 0 ? '' : `, and ${others.length} more`;
    return `${who} is ${first.spiffeId}${more}`;
  }
  const none = (why: string): string => `${who} has no identity: ${why}`;
  if (agent?.isQuarantined === true) return none('this node is in quarantine');
  if (attestationProblem !== '') return none(`it cannot be attested: ${attestationProblem}`);
  if (matched.length > 0) return none('an entry matches, but there is no X.509-SVID for it');
  if (agent?.lastSyncAt === 0 && !agent.isConnected && agent.entries === 0) {
    return none('the agent has not heard from its server yet');
  }
  if (isPartial) return none('no entry matches it');
  return none(noneOf(agent?.entries ?? 0));
}

function noneOf(entries: number): string {
  if (entries === 0) return 'this agent has been given no entries';
  if (entries === 1) return 'the only entry of this agent does not match it';
  return `none of the ${entries} entries of this agent matches it`;
}

function attestorLines({ attestors }: Explanation): readonly string[] {
  const rows = attestors.map(({ attestor, durationMs, problem, selectors }) => {
    const took = durationMs < 1000 ? `${Math.ceil(durationMs)} ms` : `${Math.round(durationMs / 1000)} s`;
    if (problem !== '') return ['', attestor, took, `FAILED: ${problem}`];
    return ['', attestor, took, selectors.map(selectorText).join('  ') || 'has nothing to say about it'];
  });
  return ['What the attestors say', ...table(rows)];
}

function matchedLines({ matched, now }: Explanation): readonly string[] {
  if (matched.length === 0) return [];
  const rows = matched.map((entry) => ['', entry.spiffeId, `entry ${entry.entryId}`, stateText(entry, now)]);
  return ['Entries that match', ...table(rows)];
}

function stateText({ nextAttemptAt, problem, state, svidExpiresAt }: MatchedEntry, now: number): string {
  const until = `X.509-SVID until ${instant(svidExpiresAt)}`;
  const because = problem === '' ? '' : `: ${problem}`;
  const again = nextAttemptAt > now ? `; tried again in ${span(nextAttemptAt - now)}` : '';
  switch (state) {
    case 'HELD':
      return nextAttemptAt > now ? `${until}, renewed in ${span(nextAttemptAt - now)}` : until;
    case 'RENEWING':
      return `${until}, ${problem === '' ? 'being renewed' : `which could not be renewed${because}${again}`}`;
    case 'SIGNING':
      return 'its first X.509-SVID is being signed';
    case 'FAILED':
      return `no X.509-SVID could be had${because}${again}`;
    case 'EXPIRED':
      return `its X.509-SVID expired before it could be renewed${because}${again}`;
    case 'ON_DEMAND':
      return 'an X.509-SVID is obtained as soon as the process asks';
    case 'UNSPECIFIED':
      return 'its state is not known to this version of the command';
  }
}

function departedLines({ departed, now }: Explanation): readonly string[] {
  if (departed.length === 0) return [];
  const rows = departed.map(({ departedAt, entryId, hasExpired, spiffeId }) => [
    '',
    spiffeId,
    `entry ${entryId}`,
    hasExpired
      ? `expired, and went ${ago(departedAt, now)}`
      : `deleted, changed or moved on the server ${ago(departedAt, now)}`,
  ]);
  return ['Entries that matched until lately', ...table(rows)];
}

function serverLines(server: ServerWord | null): readonly string[] {
  if (server === null) return [];
  if (server.problem !== '') return ['What the server knows', `  nothing was learned: ${server.problem}`];
  const hasNames = server.entries.some(({ spiffeId }) => spiffeId !== '');
  const rows = server.entries.map(({ entryId, parentId, reason, spiffeId }) => [
    ...['', `entry ${entryId}`, ...(hasNames ? [spiffeId] : [])],
    `${WITHHELD[reason]?.text ?? `is withheld: ${reason}`}${parentId === '' || reason !== 'OTHER_PARENT' ? '' : `: ${parentId}`}`,
  ]);
  return [
    'What the server knows',
    ...(rows.length === 0 ? ['  no other entry would match the process'] : table(rows)),
    ...(server.hasMore ? ['  and more of them'] : []),
    ...(server.isWithoutSecrets
      ? ['  It was not shown selectors that may hold secrets, such as environment variables']
      : []),
  ];
}

function agentLines({ agent, isPartial, now }: Explanation): readonly string[] {
  if (agent === null || isPartial) return [];
  const { agentId, isConnected, lastSyncAt, serverAddress } = agent;
  const lastHeard = lastSyncAt === 0 ? 'not heard in this run' : `last heard ${ago(lastSyncAt, now)}`;
  return [
    `The agent ${agentId === '' ? '(not attested yet)' : agentId}`,
    `  ${isConnected ? `connected to ${serverAddress}` : `NOT connected to ${serverAddress}, ${lastHeard}`}`,
    ...(agent.isQuarantined ? [`  in QUARANTINE: ${agent.quarantineReason}`] : []),
  ];
}

function isHeld({ state }: MatchedEntry): boolean {
  return state === 'HELD' || state === 'RENEWING';
}
