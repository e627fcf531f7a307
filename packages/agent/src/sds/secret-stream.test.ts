import { beforeAll, describe, expect, it } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger, type Logger } from '@bonafide/shared/runtime/logger';
import { MemoryIdentities } from '@bonafide/testing/memory-identities';
import { TestAuthority } from '@bonafide/testing/test-authority';
import type { Caller } from '../workload-api/workload-calls.js';
import type { SelectorLogging } from '../workload-attestation/shown-selectors.js';
import { DeltaSecrets } from './delta-secrets.js';
import { SecretGrants } from './granted-secrets.js';
import { sdsConfigSchema } from './sds-config.js';
import { SecretStream, warnOfMissing, type SecretSources } from './secret-stream.js';

let authority: TestAuthority;
beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
});

function setUp(selectorLogging: SelectorLogging = 'redacted') {
  const logged: Readonly<Record<string, unknown>>[] = [];
  const log: Logger = Object.assign(Object.create(silentLogger) as Logger, {
    warn: (fields: Readonly<Record<string, unknown>>) => void logged.push(fields),
  });
  const config = sdsConfigSchema.parse({});
  const sources: SecretSources = {
    identities: new MemoryIdentities(authority.trustDomain),
    grants: new SecretGrants(config),
    refusals: new RefusalLog({ clock: systemClock, log }),
    clock: systemClock,
    config,
    selectorLogging: () => selectorLogging,
  };
  const caller: Caller = {
    selectors: ['docker:env:PASSWORD=hunter2', 'unix:uid:1000'].map(parseSelector),
    credentials: { pid: 1, uid: 1000, gid: 1000 },
    log,
    signal: new AbortController().signal,
    noIdentity: () => new BonafideError('permission_denied', 'no identity issued'),
  };
  return { caller, logged, sources, feed: { changed: () => undefined } };
}

describe('the log of secret streams', () => {
  it.each([
    ['redacted', ['docker:env:PASSWORD=<redacted>', 'unix:uid:1000']],
    ['none', undefined],
    ['full', ['docker:env:PASSWORD=hunter2', 'unix:uid:1000']],
  ] as const)('shows the selectors of who asks for too much as log_selectors has it: %s', (how, shown) => {
    const { caller, logged, sources } = setUp(how);
    warnOfMissing(['spiffe://example.org/other'], caller, sources);
    expect(logged.map(({ selectors }) => selectors)).toEqual([shown]);
  });

  it('cannot be flooded with what a client says that it did not take', () => {
    const { caller, feed, logged, sources } = setUp();
    const stream = new SecretStream(sources, caller, feed);
    for (let turn = 0; turn < 100; turn += 1) stream.note({ node: undefined, rejection: 'no' });
    stream.close();
    expect(logged).toHaveLength(1);
  });
});

describe('a client that reads nothing', () => {
  it('cannot make its stream remember names without end', () => {
    const { caller, feed, sources } = setUp();
    const stream = new DeltaSecrets(sources, caller, feed);
    const ask = (turn: number): void => {
      const names = Array.from({ length: 500 }, (_, index) => `name ${turn} ${index}`);
      const [resourceNamesSubscribe, resourceNamesUnsubscribe] = [turn === 0 ? ['*'] : names, names];
      stream.receive({
        ...{ node: null, typeUrl: '', initialResourceVersions: {}, responseNonce: '', errorDetail: null },
        ...{ resourceLocatorsSubscribe: [], resourceLocatorsUnsubscribe: [] },
        ...{ resourceNamesSubscribe, resourceNamesUnsubscribe },
      });
    };
    expect(() => {
      for (let turn = 0; turn < 100; turn += 1) ask(turn);
    }).toThrow('not told of yet');
    stream.close();
  });
});
