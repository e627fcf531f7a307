import { spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { expect, it } from 'vitest';
import { exampleTrustDomain } from '../store/example-records.js';
import { AgentRevisions } from './agent-revisions.js';

const trustDomain = exampleTrustDomain('example.org');
const known = spiffeIdFromParts(trustDomain, '/spire/agent/x/a');
const stranger = spiffeIdFromParts(trustDomain, '/spire/agent/x/stranger');

it('remembers nothing of agents that are not attested, or are so no more', () => {
  const agents = new AgentRevisions({
    clock: new FakeClock(),
    isAttested: (agentId) => agentId === known,
  });
  agents.streamOpened(stranger, 1);
  agents.polled(stranger, 1);
  expect(agents.size).toBe(0);
  agents.streamOpened(known, 1);
  expect(agents.size).toBe(1);
  agents.forget(known);
  agents.streamClosed(known);
  expect(agents.size).toBe(0);
});

it('calls those that follow an agent until they leave', () => {
  const agents = new AgentRevisions({ clock: new FakeClock(), isAttested: () => true, maxFollowed: 2 });
  let calls = 0;
  const first = agents.follow([known], () => (calls += 1));
  const second = agents.follow([known], () => (calls += 1));
  expect(() => agents.follow([stranger], () => undefined)).toThrow('too many changes');
  agents.acknowledged(known, 1);
  expect(calls).toBe(2);
  first.leave(known);
  first.leaveAll();
  agents.acknowledged(known, 2);
  expect(calls).toBe(3);
  second.leaveAll();
  agents.follow([known, stranger], () => undefined).leaveAll();
});
