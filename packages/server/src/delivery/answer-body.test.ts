import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AgentDelivery } from './agent-delivery.js';
import { formatAnswer, parseAnswer } from './answer-body.js';

const agentId = fc
  .stringMatching(/^[a-z0-9]{1,20}$/)
  .map((name) => parseSpiffeId(`spiffe://example.org/spire/agent/x/${name}`));
const since = fc.integer({ min: 0, max: 8.64e15 }).map((ms) => new Date(ms));
const agent: fc.Arbitrary<AgentDelivery> = fc.oneof(
  fc.record({ kind: fc.constant('delivered' as const), agentId }),
  fc.record({
    kind: fc.constant('behind' as const),
    agentId,
    appliedRevision: fc.nat(),
    serverId: fc.constant('two'),
  }),
  fc.record({ kind: fc.constant('offline' as const), agentId, since, isExact: fc.boolean() }),
);

it('is read as it was written', () => {
  fc.assert(
    fc.property(since, fc.array(agent), (startedAt, agents) => {
      const read = parseAnswer(formatAnswer({ startedAt, agents }), 'two');
      expect(read.startedAt).toEqual(startedAt);
      expect(new Set(read.agents.map((each) => JSON.stringify(sorted(each))))).toEqual(
        new Set(agents.map((each) => JSON.stringify(sorted(each)))),
      );
    }),
  );
});

it.each([
  '',
  'null',
  '{}',
  '{"started":1,"delivered":[],"behind":[],"offline":[],"more":1}',
  '{"started":-1,"delivered":[],"behind":[],"offline":[]}',
  '{"started":1,"delivered":["not an ID"],"behind":[],"offline":[]}',
  '{"started":1,"delivered":[],"behind":[["spiffe://a/b",1.5]],"offline":[]}',
  '{"started":1,"delivered":[],"behind":[],"offline":[["spiffe://a/b",9e15,true]]}',
])('is refused when it is %j', (text) => {
  expect(() => parseAnswer(text, 'two')).toThrow('server two answered what is no delivery report');
});

it('never fails in another way', () => {
  const valid = formatAnswer({
    startedAt: new Date(1),
    agents: [{ kind: 'delivered', agentId: parseSpiffeId('spiffe://a/b') }],
  });
  fc.assert(
    fc.property(fc.nat(valid.length - 1), fc.string({ maxLength: 3 }), (at, text) => {
      const mutated = valid.slice(0, at) + text + valid.slice(at + 1);
      try {
        parseAnswer(mutated, 'two');
      } catch (error) {
        expect(error).toMatchObject({ reason: 'internal' });
      }
    }),
  );
});

function sorted(given: object): unknown {
  return Object.fromEntries(Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1)));
}
