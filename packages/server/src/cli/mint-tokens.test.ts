import { createPublicKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { importJWK, jwtVerify, SignJWT, type JWK } from 'jose';
import { parsePrivateJwk } from '@bonafide/shared/crypto/private-json-web-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from './program.js';

const SVID = 'spire.api.server.svid.v1.SVID';
const clock = new FakeClock(new Date('2030-01-01T00:00:00Z'));
const issuedAt = clock.now().getTime() / 1000;
const id = { trustDomain: 'example.org', path: '/ci' };
const svid = { token: 'a.b.c', id, expiresAt: issuedAt + 300, issuedAt };
const answers = { [SVID]: { MintJWTSVID: () => ({ svid }), MintWITSVID: () => ({ svid }) } };

let directory: ReturnType<typeof createTemporaryDirectory>;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

async function run(argv: readonly string[], served: Parameters<typeof startStubServices>[1] = answers) {
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, served);
  const host = createRecordedHost({ clock, environment: { SPIRE_SERVER_PRIVATE_SOCKET: socketPath } });
  const code = await runServerProgram(argv, host);
  return { code, ...host.printed, calls: server.calls };
}

describe('jwt mint', () => {
  const argv = ['jwt', 'mint', '-spiffeID', 'spiffe://example.org/ci', '-audience', 'db', '-audience', 'api'];

  it('asks for what the flags say and prints the token', async () => {
    const { code, stdout, stderr, calls } = await run([...argv, '-ttl', '1m30.5s']);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'a.b.c\n', stderr: '' });
    expect(calls[0]?.request).toMatchObject({ id, audience: ['db', 'api'], ttl: 91 });
  });

  it('prints JSON as SPIRE does', async () => {
    const { stdout } = await run([...argv, '-output', 'json']);
    expect(JSON.parse(stdout)).toEqual({
      svid: {
        token: 'a.b.c',
        id: { trust_domain: 'example.org', path: '/ci' },
        expires_at: String(issuedAt + 300),
        issued_at: String(issuedAt),
        hint: '',
      },
    });
  });

  it('writes the token to a file for its owner alone', async () => {
    const path = directory.join('token');
    const { code, stdout } = await run([...argv, '-write', path]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `JWT-SVID written to ${path}\n` });
    expect(await readFile(path, 'utf8')).toBe('a.b.c');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('warns when the server gave less time than asked for', async () => {
    const { code, stdout, stderr } = await run([...argv, '-ttl', '1h']);
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'a.b.c\n',
      stderr: 'JWT-SVID lifetime was capped shorter than specified ttl; expires "2030-01-01T00:05:00Z"\n',
    });
  });

  it.each([
    [['jwt', 'mint', '-audience', 'db'], 'a SPIFFE ID is required'],
    [argv.slice(0, 4), 'an audience is required'],
    [['jwt', 'mint', '-spiffeID', 'example.org/ci', '-audience', 'db'], 'must start with spiffe://'],
    [[...argv, '-audience', ''], 'expected a name'],
    [[...argv, '-ttl', '-1h'], 'expected a positive duration'],
    [[...argv, '-write', '/nowhere/at/all'], 'cannot write /nowhere/at/all'],
  ])('refuses %j', async (line, message) => {
    const { code, stderr } = await run(line);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  it('fails when the answer has no token', async () => {
    const served = { [SVID]: { MintJWTSVID: () => ({ svid: { ...svid, token: '' } }) } };
    const { code, stderr } = await run(argv, served);
    expect(code).toBe(1);
    expect(stderr).toContain('the answer of the server has no token');
  });
});

describe('wit mint', () => {
  const argv = ['wit', 'mint', '-spiffeID', 'spiffe://example.org/ci'];

  it.each([
    ['ec-p256', 'ES256'],
    ['ec-p384', 'ES384'],
    ['rsa-2048', 'PS256'],
    ['rsa-2048', 'RS512'],
  ])(
    'makes a key of type %s for %s, sends its public half and prints token and key',
    async (type, algorithm) => {
      const flags = ['-keyType', type, '-signingAlgorithm', algorithm];
      const { code, stdout, stderr, calls } = await run([...argv, ...flags, '-ttl', '5m']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const [token, jwk = '', ...rest] = stdout.split('\n');
      expect([token, rest]).toEqual(['a.b.c', ['']]);
      const request = calls[0]?.request as { readonly publicKey: Buffer };
      expect(request).toMatchObject({ id, signingAlgorithm: algorithm, ttl: 300 });
      expect(request.publicKey).toEqual(exportSpki(parsePrivateJwk(jwk)));
      const proof = await new SignJWT({})
        .setProtectedHeader({ alg: algorithm })
        .sign(await importJWK(JSON.parse(jwk) as JWK));
      const publicKey = createPublicKey({ key: request.publicKey, format: 'der', type: 'spki' });
      await expect(jwtVerify(proof, publicKey, { algorithms: [algorithm] })).resolves.toBeDefined();
    },
  );

  it('prints JSON as SPIRE does, an EC key when nothing else is said', async () => {
    const { stdout, calls } = await run([...argv, '-output', 'json']);
    const { private_key: key, svid: printed } = JSON.parse(stdout) as {
      readonly private_key: string;
      readonly svid: unknown;
    };
    expect(JSON.parse(key)).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256' });
    expect(calls[0]?.request).toMatchObject({ signingAlgorithm: 'ES256', ttl: 0 });
    expect(printed).toEqual({
      token: 'a.b.c',
      id: { trust_domain: 'example.org', path: '/ci' },
      expires_at: issuedAt + 300,
      issued_at: issuedAt,
    });
  });

  it('writes token and key to files for their owner alone', async () => {
    const { code, stdout } = await run([...argv, '-write', directory.path]);
    const [token, key] = [directory.join('token'), directory.join('key')];
    expect(code).toBe(0);
    expect(stdout).toBe(`WIT-SVID written to ${token}\nPrivate key written to ${key}\n`);
    expect(await readFile(token, 'utf8')).toBe('a.b.c');
    expect(parsePrivateJwk(await readFile(key, 'utf8')).type).toBe('private');
    for (const path of [token, key]) expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('warns when the server gave less time than asked for', async () => {
    expect((await run([...argv, '-ttl', '1h'])).stderr).toBe(
      'WIT-SVID lifetime was capped shorter than specified ttl; expires "2030-01-01T00:05:00Z"\n',
    );
  });

  it.each([
    [['wit', 'mint'], 'a SPIFFE ID is required'],
    [[...argv, '-keyType', 'ec-p521'], 'expected one of ec-p256'],
    [[...argv, '-signingAlgorithm', 'HS256'], 'expected one of RS256'],
    [[...argv, '-keyType', 'ec-p384'], 'a key of type ec-p384 cannot sign with ES256'],
    [[...argv, '-signingAlgorithm', 'RS256'], 'a key of type ec-p256 cannot sign with RS256'],
    [[...argv, '-write', '/nowhere/at/all'], 'cannot write /nowhere/at/all/token'],
  ])('refuses %j', async (line, message) => {
    const { code, stderr } = await run(line);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});
