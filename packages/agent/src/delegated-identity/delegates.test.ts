import { describe, expect, it } from 'vitest';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger, type Logger } from '@bonafide/shared/runtime/logger';
import type { Peer } from '../endpoints/peer.js';
import { TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { Delegates } from './delegates.js';

describe('the log of refused delegates', () => {
  it.each([
    ['redacted', ['docker:env:PASSWORD=<redacted>']],
    ['none', undefined],
    ['full', ['docker:env:PASSWORD=hunter2']],
  ] as const)('shows selectors as log_selectors has it: %s', async (selectorLogging, shown) => {
    const logged: Readonly<Record<string, unknown>>[] = [];
    const log: Logger = Object.assign(Object.create(silentLogger) as Logger, {
      warn: (fields: Readonly<Record<string, unknown>>) => void logged.push(fields),
    });
    const delegates = new Delegates({
      identities: {
        matching: () => ({ entries: [], trustDomain: TRUST_DOMAIN, bundles: new Map() }),
        follow: () => ({ close: () => undefined }),
      },
      attest: () => Promise.resolve([parseSelector('docker:env:PASSWORD=hunter2')]),
      authorizedDelegates: new Set(),
      selectorLogging: () => selectorLogging,
      clock: systemClock,
      log,
    });
    const peer = { credentials: { pid: 1, uid: 2, gid: 3 }, holdProcess: () => undefined };
    const { signal } = new AbortController();
    const call = { peer: peer as unknown as Peer, requestId: 'r', log, signal };
    await expect(delegates.authorize(call)).rejects.toMatchObject({ reason: 'permission_denied' });
    expect(logged.map(({ selectors }) => selectors)).toEqual([shown]);
  });
});
