import type { Explanation__Output as Explanation } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/Explanation';
import type { MatchedEntry__Output as MatchedEntry } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/MatchedEntry';
import type { MissingSelector__Output as MissingSelector } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/MissingSelector';
import type { NearMiss__Output as NearMiss } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/NearMiss';
import type { ServerWord__Output as ServerWord } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/ServerWord';
import { describe, expect, it } from 'vitest';
import { explainText } from './explain-text.js';
import { connectedText } from './process-text.js';

const NOW = 1_900_000_000;
const AGENT_ID = 'spiffe://example.org/spire/agent/x/1';
const CREATE = `      bonafide-server entry create --parent-id ${AGENT_ID} --spiffe-id spiffe://example.org/NAME --selector unix:user:web`;
const REST = [
  '',
  'The process',
  '  user     web (33)',
  '  group    33',
  '  started  2030-03-17T17:36:40Z, 10m ago',
  '  cgroup   /web',
  '',
  `The agent ${AGENT_ID}`,
  '  connected to 127.0.0.1:8081',
];

const agent = {
  agentId: AGENT_ID,
  isConnected: true,
  lastSyncAt: NOW,
  serverAddress: '127.0.0.1:8081',
  isQuarantined: false,
  quarantineReason: '',
  entries: 12,
  svidExpiresAt: NOW + 3600,
};
const unix = {
  attestor: 'unix',
  durationMs: 1.2,
  selectors: selectors('unix:uid:33', 'unix:user:web'),
  problem: '',
};
const server: ServerWord = {
  problem: '',
  entries: [],
  hasMore: false,
  revision: 1,
  acknowledgedRevision: 1,
  isWithoutSecrets: false,
};

function selectors(...texts: readonly string[]) {
  return texts.map((text) => ({
    type: text.split(':', 1)[0] ?? '',
    value: text.slice(text.indexOf(':') + 1),
  }));
}

function text(more: Partial<Explanation> = {}): readonly string[] {
  return explainText({
    process: {
      ...{ pid: 42, uid: 33, gid: 33, user: 'web', group: '', name: 'nginx', executable: '' },
      ...{ cgroups: ['0::/web'], startedAt: NOW - 600, ancestors: [], problems: [] },
    },
    attestors: [unix],
    attestationProblem: '',
    matched: [],
    nearMisses: [],
    departed: [],
    server,
    agent,
    isPartial: false,
    now: NOW,
    ...more,
  })
    .trimEnd()
    .split('\n');
}

function matched(more: Partial<MatchedEntry>): MatchedEntry {
  return {
    ...{ entryId: 'e1', spiffeId: 'spiffe://example.org/web', state: 'HELD', svidExpiresAt: NOW + 3600 },
    ...{ nextAttemptAt: NOW + 1800, problem: '', hint: '', ...more },
  };
}

function missing(selector: string, hint: MissingSelector['hint'], ...presented: string[]): MissingSelector {
  return {
    selector: selectors(selector)[0] ?? null,
    hint,
    presented: selectors(...presented),
    similarAttestor: '',
  };
}

function nearMiss(entryId: string, selectorCount: number, ...lacks: MissingSelector[]): NearMiss {
  return {
    ...{ entryId, spiffeId: `spiffe://example.org/${entryId}`, selectorCount },
    ...{ missingCount: lacks.length, present: [], missing: lacks },
  };
}

describe('the text of an explanation', () => {
  it('of a process that is served names its identity, and what else matches', () => {
    const entries = [matched({}), matched({ entryId: 'e2', spiffeId: 'spiffe://example.org/admin' })];
    expect(
      text({ matched: entries, nearMisses: [nearMiss('e3', 1, missing('unix:uid:34', 'DIFFERS'))] }),
    ).toEqual([
      'Process 42 (nginx) is spiffe://example.org/web, and 1 more',
      '',
      'What the attestors say',
      '  unix  2 ms  unix:uid:33  unix:user:web',
      '',
      'Entries that match',
      '  spiffe://example.org/web    entry e1  X.509-SVID until 2030-03-17T18:46:40Z, renewed in 30m',
      '  spiffe://example.org/admin  entry e2  X.509-SVID until 2030-03-17T18:46:40Z, renewed in 30m',
      ...REST,
    ]);
  });

  it('of a process that nobody thought of gives the command that creates its entry', () => {
    expect(text()).toEqual([
      'Process 42 (nginx) has no identity: none of the 12 entries of this agent matches it',
      '',
      'What the attestors say',
      '  unix  2 ms  unix:uid:33  unix:user:web',
      '',
      'What the server knows',
      '  no other entry would match the process',
      '',
      'What to do',
      '  - Create an entry for it:',
      CREATE,
      ...REST,
    ]);
  });

  it('of a typing error names it, and leaves out what is far', () => {
    const slip = nearMiss('e1', 2, missing('unix:user:wbe', 'SIMILAR', 'unix:user:web'));
    const far = nearMiss('e2', 1, missing('unix:uid:99', 'DIFFERS', 'unix:uid:33'));
    expect(text({ nearMisses: [slip, far] }).slice(5, 16)).toEqual([
      'Entries that come close',
      '  spiffe://example.org/e1  entry e1  the process lacks 1 of its 2 selectors:',
      '      unix:user:wbe  the process has unix:user:web: a typing error?',
      '',
      'What the server knows',
      '  no other entry would match the process',
      '',
      'What to do',
      "  - Replace unix:user:wbe with unix:user:web in entry e1 ('bonafide-server entry update'), if it is meant for this process",
      '  - Or create an entry for it:',
      CREATE,
    ]);
    expect(text({ nearMisses: [far] }).slice(5, 8)).toEqual([
      'Entries that come close',
      '  spiffe://example.org/e2  entry e2  the process lacks its only selector:',
      '      unix:uid:99  the process has unix:uid:33',
    ]);
  });

  it('of an entry under another parent says whose it is, where that may be known', () => {
    const entry = { entryId: 'e1', reason: 'OTHER_PARENT', spiffeId: '', parentId: '', expiresAt: 0 };
    expect(text({ server: { ...server, entries: [entry] } }).slice(5, 10)).toEqual([
      'What the server knows',
      '  entry e1  exists under another parent',
      '',
      'What to do',
      "  - Create entry e1 for this agent too, if the process is to have it here: 'bonafide-server entry show --entry-id e1' tells what it says",
    ]);
    const named = { ...entry, spiffeId: 'spiffe://example.org/web', parentId: 'spiffe://example.org/other' };
    expect(text({ server: { ...server, entries: [named] } })[6]).toBe(
      '  entry e1  spiffe://example.org/web  exists under another parent: spiffe://example.org/other',
    );
  });

  it('of a node in quarantine says nothing but that', () => {
    const quarantined = { ...agent, isQuarantined: true, quarantineReason: 'a drill', entries: 0 };
    const lines = text({ agent: quarantined, server: { ...server, problem: 'not now' } });
    expect(lines[0]).toBe('Process 42 (nginx) has no identity: this node is in quarantine');
    expect(lines.slice(5, 8)).toEqual([
      'What to do',
      "  - Look at the node ('bonafide-server agent show'), and let it back with 'bonafide-server agent release'",
      '',
    ]);
    expect(lines.slice(-2)).toEqual(['  connected to 127.0.0.1:8081', '  in QUARANTINE: a drill']);
  });

  it('of an attestor that failed says why, and does not suggest entries', () => {
    const docker = { attestor: 'docker', durationMs: 1500, selectors: [], problem: 'no engine answers' };
    const lines = text({ attestors: [docker, unix] });
    expect(lines.slice(2, 5)).toEqual([
      'What the attestors say',
      '  docker  2 s   FAILED: no engine answers',
      '  unix    2 ms  unix:uid:33  unix:user:web',
    ]);
    expect(lines.slice(9, 12)).toEqual([
      'What to do',
      '  - Mend what the attestor docker complains of, and ask again',
      '',
    ]);
  });

  it('of an agent that is cut off says since when', () => {
    const cutOff = { ...agent, isConnected: false, lastSyncAt: NOW - 90 };
    const problem = 'the agent is not connected to it';
    const lines = text({ agent: cutOff, server: { ...server, problem } });
    expect(lines.slice(5, 10)).toEqual([
      'What the server knows',
      `  nothing was learned: ${problem}`,
      '',
      'What to do',
      '  - Bring back the connection to the server 127.0.0.1:8081: what changed in the last 1m 30s is not known here',
    ]);
    expect(lines.at(-1)).toBe('  NOT connected to 127.0.0.1:8081, last heard 1m 30s ago');
  });

  it('of an entry whose SVID cannot be had says why, and when it is tried again', () => {
    const failed = matched({ state: 'FAILED', problem: 'the entry is gone', nextAttemptAt: NOW + 5 });
    const lines = text({ matched: [failed], server: null });
    expect(lines[0]).toBe(
      'Process 42 (nginx) has no identity: an entry matches, but there is no X.509-SVID for it',
    );
    expect(lines.slice(5, 10)).toEqual([
      'Entries that match',
      '  spiffe://example.org/web  entry e1  no X.509-SVID could be had: the entry is gone; tried again in 5s',
      '',
      'What to do',
      '  - See to it that the server can sign: the entry is gone',
    ]);
  });

  it('for the process itself points to whoever knows more', () => {
    expect(text({ isPartial: true, server: null }).slice(0, 8)).toEqual([
      'Process 42 (nginx) has no identity: no entry matches it',
      '',
      'What the attestors say',
      '  unix  2 ms  unix:uid:33  unix:user:web',
      '',
      'What to do',
      "  - Ask whoever runs the agent for 'bonafide-agent explain --pid 42', which says more",
      '',
    ]);
  });

  it('holds nothing that a terminal obeys', () => {
    const [, , , line] = text({
      attestors: [{ ...unix, selectors: selectors('docker:label:a:\u001b[2J\nb') }],
    });
    expect(line).toBe('  unix  2 ms  docker:label:a:?[2J?b');
  });
});

describe('the list of those who are connected', () => {
  it('says of each what it gets, or who tells why not', () => {
    const one = { pid: 7, uid: 33, gid: 33, name: 'nginx', connections: 2, problem: '' };
    expect(
      connectedText([
        { ...one, spiffeIds: ['spiffe://example.org/web'] },
        { ...one, pid: 1234, spiffeIds: [] },
      ]),
    ).toBe(
      [
        'PID   NAME   USER  CONNECTIONS  SPIFFE IDS',
        '7     nginx  33    2            spiffe://example.org/web',
        "1234  nginx  33    2            none: 'bonafide-agent explain --pid 1234' tells why",
        '',
      ].join('\n'),
    );
  });
});
