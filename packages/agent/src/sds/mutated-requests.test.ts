import { readdirSync } from 'node:fs';
import { status, type ServiceError } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { RefusalLog } from '@bonafide/shared/runtime/refusal-log';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { mutatedBytes } from '@bonafide/testing/mutated-bytes';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import type { Caller } from '../workload-api/workload-calls.js';
import { DeltaSecrets } from './delta-secrets.js';
import { SecretGrants } from './granted-secrets.js';
import { OLD_ENVOY, SDS, SdsSetup, secretNames, SELF } from './sds-samples.js';
import { sdsConfigSchema } from './sds-config.js';
import { SECRET_TYPE_URL } from './secret.js';
import type { SecretSources } from './secret-stream.js';
import { StreamSecrets } from './stream-secrets.js';

const { definition } = loadService(SDS);
const NODE = {
  id: 'n',
  ...OLD_ENVOY,
  metadata: { fields: { a: { listValue: { values: [{ boolValue: true }] } } } },
};
const WHOLE = definition.StreamSecrets.requestSerialize({
  resourceNames: ['default', 'spiffe://example.org/web'],
  typeUrl: SECRET_TYPE_URL,
  node: NODE,
  responseNonce: 'n',
  errorDetail: { code: 1, message: 'm' },
});
const DELTA = definition.DeltaSecrets.requestSerialize({
  resourceNamesSubscribe: ['default', 'spiffe://example.org/api', '*'],
  resourceNamesUnsubscribe: ['ROOTCA'],
  initialResourceVersions: { default: 'v', 'spiffe://example.org/api': 'w' },
  typeUrl: SECRET_TYPE_URL,
  node: NODE,
});

let authority: TestAuthority;
let sds: SdsSetup;
let web: X509Svid;
let api: X509Svid;

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  web = await authority.issueX509Svid('/web');
  api = await authority.issueX509Svid('/api');
});
beforeEach(async () => {
  sds = await SdsSetup.listen(authority);
  // The second is somebody else's.
  sds.identities.set({
    entries: [
      { selectors: SELF, svid: web },
      { selectors: ['unix:uid:4000000000'], svid: api },
    ],
    bundles: [authority.bundle()],
  });
});
afterEach(async () => {
  await sds.close();
});

function tellsOfAnother(response: Buffer): boolean {
  const [certificate = Buffer.alloc(0)] = api.certificateChain;
  return response.includes(certificate.toString('base64').slice(0, 64));
}

describe('10,000 mutated requests', () => {
  it('are refused with a reason or answered with what is granted', async () => {
    const config = sdsConfigSchema.parse({});
    const refusals: SecretSources['refusals'] = new RefusalLog({ clock: systemClock, log: silentLogger });
    const selectorLogging = (): 'none' => 'none';
    const grants = new SecretGrants(config);
    const { identities } = sds;
    const sources = { identities, config, grants, refusals, selectorLogging, clock: systemClock } as const;
    const caller: Caller = {
      selectors: SELF.map(parseSelector),
      credentials: { pid: 1, uid: 0, gid: 0 },
      log: silentLogger,
      signal: new AbortController().signal,
      noIdentity: () => new BonafideError('permission_denied', 'no identity issued'),
    };
    const counts = { answered: 0, refused: 0, malformed: 0 };
    const attempt = async <Request, Response>(
      bytes: Buffer,
      method: {
        readonly requestDeserialize: (bytes: Buffer) => Request;
        readonly responseSerialize: (response: Response) => Buffer;
      },
      conversation: {
        receive: (request: Request) => void;
        next: () => Response | undefined;
        close: () => void;
      },
    ): Promise<void> => {
      let request: Request;
      try {
        request = method.requestDeserialize(bytes);
      } catch {
        counts.malformed += 1; // gRPC answers these
        conversation.close();
        return;
      }
      try {
        conversation.receive(request);
        await Promise.resolve(); // what is granted arrives
        const response = conversation.next();
        if (response === undefined) return; // nothing is wanted any more
        expect(tellsOfAnother(method.responseSerialize(response))).toBe(false);
        counts.answered += 1;
      } catch (error) {
        if (!(error instanceof BonafideError)) throw error;
        counts.refused += 1;
      } finally {
        conversation.close();
      }
    };
    const feed = { changed: () => undefined };
    for (let seed = 0; seed < 5_000; seed += 1) {
      const whole = new StreamSecrets(sources, caller, feed);
      await attempt(mutatedBytes(WHOLE, seed), definition.StreamSecrets, whole);
      const delta = new DeltaSecrets(sources, caller, feed);
      await attempt(mutatedBytes(DELTA, seed), definition.DeltaSecrets, delta);
    }
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(200);
    expect(sds.identities.subscriberCount).toBe(0);
  });

  it('nested without end are refused, and the next is answered', async () => {
    const within = (tag: number, inner: Buffer): Buffer => {
      const length: number[] = [];
      for (let rest = inner.length; ; rest >>= 7) {
        length.push(rest > 127 ? (rest & 127) | 128 : rest);
        if (rest <= 127) break;
      }
      return Buffer.concat([Buffer.of(tag, ...length), inner]);
    };
    // Value { list_value { values: [Value { list_value … } ] } }, 10,000 deep.
    let value: Buffer = Buffer.alloc(0);
    for (let depth = 0; depth < 10_000; depth += 1) value = within(0x32, within(0x0a, value));
    const metadata = within(0x0a, Buffer.concat([within(0x0a, Buffer.from('k')), within(0x12, value)]));
    const node = within(0x1a, metadata);
    const requests = [
      [definition.StreamSecrets.path, within(0x12, node)],
      [definition.DeltaSecrets.path, within(0x0a, node)],
    ] as const;
    const bytes = (message: Buffer): Buffer => message;
    for (const [path, request] of requests) {
      const call = sds.client.makeBidiStreamRequest(path, bytes, bytes);
      const failed = new Promise<ServiceError>((resolve) => call.on('error', resolve));
      call.on('data', () => undefined);
      call.write(request);
      expect((await failed).code).toBe(status.INTERNAL);
    }
    const stream = sds.openWhole();
    await stream.ask({ resourceNames: ['default'] });
    expect(secretNames(await stream.next())).toEqual(['default']);
  });

  it('leave no subscription or file open on the socket, and others are served as before', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    const before = open();
    const bytes = (message: Buffer): Buffer => message;
    const send = (path: string, request: Buffer): Promise<boolean> =>
      new Promise((resolve) => {
        let isLeaked = false;
        const call = sds.client.makeBidiStreamRequest(path, bytes, bytes);
        call.on('data', (response: Buffer) => {
          isLeaked ||= tellsOfAnother(response);
        });
        call.on('error', () => undefined); // its status, as the answer to most of these
        call.on('status', () => {
          resolve(isLeaked);
        });
        call.write(request);
        call.end();
      });
    for (let seed = 0; seed < 500; seed += 20) {
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, index) => [
          send(definition.StreamSecrets.path, mutatedBytes(WHOLE, seed + index)),
          send(definition.DeltaSecrets.path, mutatedBytes(DELTA, seed + index)),
        ]).flat(),
      );
      expect(outcomes).not.toContain(true);
    }
    await waitFor('the subscriptions to end', () => sds.identities.subscriberCount === 0);
    await waitFor('its files to be closed', () => open() <= before + 5);
    const after = sds.openWhole();
    await after.ask({ resourceNames: ['default'] });
    expect(secretNames(await after.next())).toEqual(['default']);
  });
});
