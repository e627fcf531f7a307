import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { describe, expect, it } from 'vitest';
import type { AttestedNode } from '../store/node-record.js';
import { AgentCalls } from './agent-calls.js';

const agentId = parseSpiffeId('spiffe://example.org/spire/agent/join_token/x');
const attested: AttestedNode = {
  agentId,
  attestationType: 'join_token',
  serialNumber: 'aa',
  expiresAt: new Date('2030-01-01T00:00:00Z'),
  nextSerialNumber: undefined,
  nextExpiresAt: undefined,
  selectors: [],
  isBanned: false,
  quarantine: undefined,
  canReattest: false,
  agentVersion: undefined,
};

const ignored = () => ({ end: () => undefined, survivesQuarantine: false });

describe('AgentCalls', () => {
  it('tells of each call that it lets in, and of no other', () => {
    let node: AttestedNode | undefined = attested;
    const heard: SpiffeId[] = [];
    const calls = new AgentCalls({ node: () => node }, (caller) => heard.push(caller));
    calls.track(agentId, AbortSignal.abort(), ignored());
    expect(heard).toEqual([agentId]);
    node = { ...attested, isBanned: true };
    expect(() => {
      calls.track(agentId, new AbortController().signal, ignored());
    }).toThrow(expect.objectContaining({ reason: 'agent_banned' }));
    expect(heard).toEqual([agentId]);
  });

  it('ends every call of an agent that is banned, and no call of one that is not', () => {
    let node: AttestedNode | undefined = attested;
    const calls = new AgentCalls({ node: () => node });
    const ended: string[] = [];
    for (const name of ['one', 'two']) {
      calls.track(agentId, new AbortController().signal, {
        end: ({ reason }) => ended.push(`${name} ${reason}`),
        survivesQuarantine: false,
      });
    }
    calls.check([agentId]);
    expect(ended).toEqual([]);
    node = { ...attested, isBanned: true };
    calls.check([agentId]);
    calls.check([agentId]);
    expect(ended).toEqual(['one agent_banned', 'two agent_banned']);
    expect(calls.size).toBe(0);
  });

  it('ends the calls of an agent in quarantine but for its proof, and that one when it is banned', () => {
    let node: AttestedNode = { ...attested, quarantine: { since: new Date(0), findings: [] } };
    const calls = new AgentCalls({ node: () => node });
    const ended: string[] = [];
    const track = (name: string, survivesQuarantine: boolean): void => {
      calls.track(agentId, new AbortController().signal, {
        end: ({ reason }) => ended.push(`${name} ${reason}`),
        survivesQuarantine,
      });
    };
    track('proof', true);
    expect(() => {
      track('late', false);
    }).toThrow('is in quarantine');
    node = attested;
    track('watch', false);
    node = { ...attested, quarantine: { since: new Date(0), findings: [] } };
    calls.check([agentId]);
    expect(ended).toEqual(['watch agent_quarantined']);
    node = { ...node, isBanned: true };
    calls.check([agentId]);
    calls.check([agentId]);
    expect(ended).toEqual(['watch agent_quarantined', 'proof agent_banned']);
    expect(calls.size).toBe(0);
  });

  it('does not let a call in whose agent has lost its right meanwhile', () => {
    const calls = new AgentCalls({ node: () => undefined });
    expect(() => {
      calls.track(agentId, new AbortController().signal, ignored());
    }).toThrow('is not attested');
  });

  it('forgets calls that are over', () => {
    const calls = new AgentCalls({ node: () => attested });
    const [first, second] = [new AbortController(), new AbortController()];
    calls.track(agentId, first.signal, ignored());
    calls.track(agentId, second.signal, ignored());
    calls.track(agentId, AbortSignal.abort(), ignored());
    first.abort();
    expect(calls.size).toBe(1);
    second.abort();
    expect(calls.size).toBe(0);
  });
});
