/** What a helper inside of the agent says of its attempts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HelperEntry, OnChange } from './helper-entry.js';
import type { HelperResult } from './helper-result.js';
import { Helper } from './helper.js';
import type { IdentitySource, IdentityUpdate } from './identity-source.js';

const { privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
const key = privateKey.export({ format: 'der', type: 'pkcs8' });

let directory: TemporaryDirectory;
let stop: AbortController;
let running: Promise<void>;
let attempts: HelperResult[];
let send: (update: IdentityUpdate) => void;
beforeEach(() => {
  directory = createTemporaryDirectory();
  stop = new AbortController();
  running = Promise.resolve();
  attempts = [];
});
afterEach(async () => {
  stop.abort();
  await running;
  directory.remove();
});

function identity(certificate: string): IdentityUpdate {
  const one = {
    spiffeId: 'spiffe://example.org/web',
    hint: undefined,
    certificateChain: [Buffer.from(certificate)],
    privateKey: key,
    notAfter: new Date('2100-01-01T00:00:00Z'),
    bundle: [Buffer.from('authority')],
    federatedBundles: [],
  };
  return { kind: 'identities', identities: [one] };
}

/** Updates as the test sends them. */
function createSource(): IdentitySource {
  const waiting: IdentityUpdate[] = [];
  let wake: () => void = () => undefined;
  send = (update) => {
    waiting.push(update);
    wake();
  };
  return {
    async *identities(signal) {
      const over = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          resolve();
        });
      });
      while (!signal.aborted) {
        const update = waiting.shift();
        if (update !== undefined) yield update;
        else await Promise.race([over, new Promise<void>((resolve) => (wake = resolve))]);
      }
    },
    jwtBundles: () => {
      throw new Error('not asked for');
    },
    jwtSvid: () => Promise.reject(new Error('not asked for')),
  };
}

function start(path: string, onChange: OnChange): void {
  const entry: HelperEntry = {
    directory: path,
    x509: { certificate: 'svid.pem', key: 'svid_key.pem', bundle: 'svid_bundle.pem' },
    jwtSvids: [],
    jwtBundleFileName: undefined,
    modes: { certificate: 0o644, key: 0o600, jwtBundle: 0o600, jwtSvid: 0o600 },
    owner: undefined,
    group: undefined,
    addsIntermediatesToBundle: false,
    includesFederatedDomains: false,
    omitsExpired: false,
    choice: { spiffeId: undefined, hint: undefined },
    onChange,
  };
  const parts = { random: () => 0, clock: systemClock, log: silentLogger };
  const ownership = { uid: undefined, gid: undefined };
  const onAttempt = (result: HelperResult): void => void attempts.push(result);
  running = new Helper({ entry, ownership, source: createSource(), onAttempt, ...parts }).run(stop.signal);
}

const NOBODY: OnChange = { signals: [], commands: [] };

describe('the attempts of a helper', () => {
  it('are told as written, unchanged and removed', async () => {
    const path = directory.join('svid');
    start(path, NOBODY);
    send(identity('one'));
    await waitFor('the first', () => attempts.length === 1);
    expect(readFileSync(`${path}/svid.pem`, 'utf8')).toContain(Buffer.from('one').toString('base64'));
    send(identity('one'));
    await waitFor('the same again', () => attempts.length === 2);
    send({ kind: 'withdrawn' });
    await waitFor('the end of it', () => attempts.length === 3);
    expect(attempts).toEqual(['written', 'unchanged', 'removed']);
  });

  it('are told as failed while there is no folder to write to', async () => {
    writeFileSync(directory.join('file'), '');
    start(directory.join('file'), NOBODY);
    send(identity('one'));
    await waitFor('a failure', () => attempts.length > 0);
    expect(attempts[0]).toBe('failed');
  });

  it('are told as written and untold when a program cannot be told', async () => {
    start(directory.join('svid'), {
      signals: [],
      commands: [{ program: 'false', args: [], timeoutSeconds: 60 }],
    });
    send(identity('one'));
    await waitFor('the command to fail', () => attempts.includes('untold'));
    expect(attempts.slice(0, 2)).toEqual(['written', 'untold']);
  });
});
