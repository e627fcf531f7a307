/** JWT-SVIDs and WIT-SVIDs from a real server through a real agent to a process that asks for them. */
import { createPublicKey } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callWorkloadApi, firstOf } from '@bonafide/agent/cli/api/workload-call';
import { runAgentProgram } from '@bonafide/agent/cli/program';
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parsePrivateJwk } from '@bonafide/shared/crypto/private-json-web-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { callUnary, openServerStream, type CallSettings } from '@bonafide/shared/rpc/client-call';
import { structFromProto } from '@bonafide/shared/rpc/codec/struct';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const WEB = 'spiffe://example.org/web';

let server: InProcessServer;
let agent: InProcessAgent;

beforeAll(async () => {
  server = await InProcessServer.start();
  const joinToken = await server.createToken();
  await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR], hint: 'internal' });
  agent = await InProcessAgent.start({ server, joinToken });
  await agent.fetched('the X.509-SVID');
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function call<Answer>(
  work: (client: ServiceClient<'SpiffeWorkloadAPI'>, settings: CallSettings) => Promise<Answer>,
): Promise<Answer> {
  return callWorkloadApi({ socketPath: agent.socketPath, timeout: 10 }, createRecordedHost(), work);
}

function bundleOf(jwks: string | Buffer | undefined, use: 'jwt-svid' | 'wit-svid'): TrustBundle {
  const keys = readJwkSet(Buffer.from(jwks ?? ''), use);
  return {
    trustDomain: parseTrustDomain('example.org'),
    x509Authorities: [],
    jwtAuthorities: use === 'jwt-svid' ? keys : [],
    witAuthorities: use === 'wit-svid' ? keys : [],
    refreshHintSeconds: undefined,
    sequenceNumber: 1,
  };
}

async function fetchToken(...audience: string[]): Promise<string> {
  const { svids } = await call((client, settings) =>
    callUnary(client, 'FetchJWTSVID', { audience }, settings),
  );
  expect(svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([[WEB, 'internal']]);
  return svids[0]?.svid ?? '';
}

function validate(audience: string, svid: string) {
  return call((client, settings) => callUnary(client, 'ValidateJWTSVID', { audience, svid }, settings));
}

describe('tokens of a workload', () => {
  it('are JWT-SVIDs that verify by the bundles it is given', async () => {
    const token = await fetchToken('db', 'cache');
    const { bundles } = await call((client, settings) =>
      firstOf(openServerStream(client, 'FetchJWTBundles', {}, settings)),
    );
    expect(Object.keys(bundles)).toEqual(['spiffe://example.org']);
    const jwks = bundles['spiffe://example.org'];
    const bundle = bundleOf(jwks, 'jwt-svid');
    expect(jwks?.toString()).not.toContain('"use"');
    const now = systemClock.now();
    const verified = await verifyJwtSvid({ token, audience: 'cache', bundle: () => bundle, now });
    expect(verified.spiffeId).toBe(WEB);
    expect(verified.audience).toEqual(['db', 'cache']);
  });

  it('are validated on behalf of whoever asks', async () => {
    const { claims, spiffeId } = await validate('db', await fetchToken('db'));
    expect(spiffeId).toBe(WEB);
    expect(structFromProto(claims ?? { fields: {} })).toMatchObject({ sub: WEB, aud: ['db'] });
  });

  it.each([
    ['for another audience', 'bank', (token: string) => token, 'not for the audience "bank"'],
    ['with a changed signature', 'db', changedSignature, 'signature of the token is wrong'],
    [
      'with changed claims',
      'db',
      withClaims({ sub: 'spiffe://example.org/admin' }),
      'signature of the token is wrong',
    ],
    [
      'of a trust domain we know nothing of',
      'db',
      withClaims({ sub: 'spiffe://other.test/x' }),
      'no bundle is held',
    ],
    ['that is not signed', 'db', withHeader({ alg: 'none' }), 'algorithm "none"'],
    ['signed with a secret', 'db', withHeader({ alg: 'HS256' }), 'algorithm "HS256"'],
    ['with an unknown key', 'db', withHeader({ kid: 'other' }), 'key "other"'],
    ['of another type', 'db', withHeader({ typ: 'at+jwt' }), 'neither JWT nor JOSE'],
    ['without an expiry', 'db', withClaims({ exp: undefined }), 'no expiry'],
    ['without an audience', 'db', withClaims({ aud: undefined }), 'no audience'],
    ['that is none', 'db', () => 'nonsense', 'three parts'],
    ['that is empty', 'db', () => '', 'svid must be specified'],
    ['for no audience', '', (token: string) => token, 'audience must be specified'],
    ['that is huge', 'db', (token: string) => token + 'A'.repeat(100_000), 'more than 65536 characters'],
  ])('are refused %s, with the reason', async (_name, audience, change, message) => {
    const token = change(await fetchToken('db'));
    await expect(validate(audience, token)).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining(message) as string,
    });
  });

  it.each([
    ['no audience', { audience: [] }, 'invalid_argument', 'audience must be specified'],
    ['an empty audience', { audience: [''] }, 'invalid_argument', 'an audience is text'],
    ['an endless audience', { audience: ['a'.repeat(2000)] }, 'invalid_argument', 'an audience is text'],
    ['101 audiences', { audience: Array<string>(101).fill('a') }, 'invalid_argument', 'too many'],
    ['a malformed identity', { audience: ['a'], spiffeId: 'web' }, 'invalid_argument', ''],
    [
      'the identity of another',
      { audience: ['a'], spiffeId: `${WEB}2` },
      'permission_denied',
      'no identity issued',
    ],
  ])('are not given to a request with %s', async (_name, request, reason, message) => {
    await expect(
      call((client, settings) => callUnary(client, 'FetchJWTSVID', request, settings)),
    ).rejects.toMatchObject({ reason, message: expect.stringContaining(message) as string });
  });

  it('are WIT-SVIDs with their keys, which verify by the bundles it is given', async () => {
    const { svids } = await call((client, settings) =>
      firstOf(openServerStream(client, 'FetchWITSVID', {}, settings)),
    );
    const { bundles } = await call((client, settings) =>
      firstOf(openServerStream(client, 'FetchWITBundles', {}, settings)),
    );
    const [svid] = svids;
    if (svid === undefined) throw new Error('no WIT-SVID');
    expect([svid.spiffeId, svid.hint]).toEqual([WEB, 'internal']);
    const bundle = bundleOf(bundles['spiffe://example.org'], 'wit-svid');
    const verified = await verifyWitSvid({
      token: svid.witSvid,
      bundle: () => bundle,
      now: systemClock.now(),
    });
    const publicKey = createPublicKey(parsePrivateJwk(svid.witSvidKey));
    expect(exportSpki(verified.confirmationKey).equals(exportSpki(publicKey))).toBe(true);
  });

  it('are fetched and validated on the command line', async () => {
    const run = async (...argv: string[]): Promise<readonly [number, string]> => {
      const host = createRecordedHost();
      const code = await runAgentProgram(['api', ...argv, '-socketPath', agent.socketPath], host);
      return [code, host.printed.stdout + host.printed.stderr];
    };
    const [code, text] = await run('fetch', 'jwt', '-audience', 'db,cache', '-spiffeID', WEB);
    expect([code, text]).toEqual([
      0,
      expect.stringMatching(/^token\(.*\):\n\t.*\nhint\(.*\):\n\tinternal\nbundle\(/),
    ]);
    const token = /\t(\S+)/.exec(text)?.[1] ?? '';
    const valid = await run('validate', 'jwt', '-audience', 'db', '-svid', token);
    expect(valid).toEqual([0, expect.stringContaining(`SVID is valid.\nSPIFFE ID : ${WEB}\nClaims    : {`)]);
    const refused = await run('validate', 'jwt', '-audience', 'bank', '-svid', token);
    expect(refused).toEqual([1, expect.stringContaining('SVID is not valid: ')]);
    const [, json] = await run('fetch', 'wit', '--output', 'json');
    expect(JSON.parse(json)).toMatchObject([{ svids: [{ spiffe_id: WEB }] }, { bundles: {} }]);
    expect(await run('fetch', 'jwt')).toEqual([1, expect.stringContaining('audience must be specified')]);
  });

  it('are not to be found in any file of the agent', async () => {
    const token = await fetchToken('db');
    const files = await readdir(agent.dataDirectory, { recursive: true, withFileTypes: true });
    for (const file of files.filter((found) => found.isFile())) {
      const text = await readFile(join(file.parentPath, file.name), 'latin1');
      expect(text.includes(token.split('.')[2] ?? token)).toBe(false);
    }
  });
});

function changedSignature(token: string): string {
  const [header = '', claims = '', signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  return [header, claims, bytes.toString('base64url')].join('.');
}

function withClaims(changes: object): (token: string) => string {
  return (token) => changed(token, 1, changes);
}

function withHeader(changes: object): (token: string) => string {
  return (token) => changed(token, 0, changes);
}

function changed(token: string, part: 0 | 1, changes: object): string {
  const parts = token.split('.');
  const content = JSON.parse(Buffer.from(parts[part] ?? '', 'base64url').toString()) as object;
  parts[part] = Buffer.from(JSON.stringify({ ...content, ...changes })).toString('base64url');
  return parts.join('.');
}
