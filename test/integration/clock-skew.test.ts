import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { InProcessServer } from './server-in-process.js';

const SVID = 'spire.api.server.svid.v1.SVID';
const id = { trustDomain: 'example.org', path: '/web' };
const MINUTE = 60;

/** The section "Clocks" of docs/conformance.md: a server whose clock stands at `issuedAt`, and verifiers whose clocks do not. */
describe('a verifier whose clock is off', () => {
  const issuedAt = new Date('2030-01-01T12:00:00Z');
  let server: InProcessServer;
  let bundle: TrustBundle;

  beforeAll(async () => {
    server = await InProcessServer.start({ clock: new FakeClock(issuedAt) });
    bundle = bundleFromProto(
      await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {}),
    );
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  const at = (offsetSeconds: number): Date => new Date(issuedAt.getTime() + offsetSeconds * 1000);

  async function check(verified: Promise<unknown>, problem: string | undefined): Promise<void> {
    if (problem === undefined) await expect(verified).resolves.toBeDefined();
    else await expect(verified).rejects.toThrow(problem);
  }

  it.each([
    ['ten minutes ahead', 10 * MINUTE, undefined],
    ['ten minutes ahead, when less than that is left', 60 * MINUTE + 1, 'expired'],
    ['ten seconds behind', -10, undefined],
    ['eleven seconds behind', -11, 'is not valid before'],
    ['ten minutes behind', -10 * MINUTE, 'is not valid before'],
    ['ten minutes behind, ten minutes later', 0, undefined],
  ])('by %s: an X.509-SVID of an hour', async (_name, offset, problem) => {
    const { certificateChain: chain } = await server.mint('spiffe://example.org/web');
    const authorities = bundle.x509Authorities.map(({ certificate }) => certificate);
    const verify = (): unknown => verifyX509Svid({ chain, authorities, now: at(offset) });
    await check(Promise.resolve().then(verify), problem);
  });

  it.each([
    ['ten minutes ahead', 10 * MINUTE, 'has expired'],
    ['six minutes ahead, which is the end and the leeway', 6 * MINUTE, 'has expired'],
    ['a second less', 6 * MINUTE - 1, undefined],
    ['ten minutes behind', -10 * MINUTE, undefined],
  ])('by %s: a JWT-SVID of five minutes', async (_name, offset, problem) => {
    const { svid } = await callUnary(server.local(SVID), 'MintJWTSVID', { id, audience: ['a'], ttl: 300 });
    const token = svid?.token ?? '';
    await check(verifyJwtSvid({ token, audience: 'a', bundle: () => bundle, now: at(offset) }), problem);
  });

  it.each([
    ['ten minutes ahead', 10 * MINUTE, undefined],
    ['ten minutes ahead, when less than nine are left', 61 * MINUTE, 'has expired'],
    ['ten minutes behind', -10 * MINUTE, undefined],
  ])('by %s: a WIT-SVID of an hour', async (_name, offset, problem) => {
    const { publicKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
    const { svid } = await callUnary(server.local(SVID), 'MintWITSVID', {
      id,
      publicKey: exportSpki(publicKey),
      signingAlgorithm: 'ES256',
      ttl: 3600,
    });
    const token = svid?.token ?? '';
    await check(verifyWitSvid({ token, bundle: () => bundle, now: at(offset) }), problem);
  });

  it('believes a token no longer than the key that signed it, and the leeway', async () => {
    const [authority] = bundle.jwtAuthorities;
    const end = authority?.expiresAt?.getTime() ?? 0;
    expect(end).toBeGreaterThan(issuedAt.getTime());
    const ttl = 30 * 24 * 3600;
    const { svid } = await callUnary(server.local(SVID), 'MintJWTSVID', { id, audience: ['a'], ttl });
    const verify = (now: Date): Promise<unknown> =>
      verifyJwtSvid({ token: svid?.token ?? '', audience: 'a', bundle: () => bundle, now });
    await check(verify(new Date(end + 59_000)), undefined);
    await check(verify(new Date(end + 61_000)), 'has expired');
  });
});
