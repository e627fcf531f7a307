import { describe, expect, it } from 'vitest';
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import type { TokenAuthority, TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { spkiToJwk } from '@bonafide/shared/crypto/json-web-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { TestAuthority } from '@bonafide/testing/test-authority';

const MUTATIONS = 10_000;
/** What one of them may take, on a machine that does other things. */
const LIMIT_MS = 10_000;
const trustDomain = parseTrustDomain('example.org');
const now = new Date('2030-01-01T00:00:00Z');
const audience = 'spiffe://example.org/reports';

const { publicKey, privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
const spki = exportSpki(publicKey);
const token = (keyId: string): TokenAuthority => ({
  publicKey: spki,
  keyId,
  expiresAt: undefined,
  isTainted: false,
});
const authority = await TestAuthority.create('example.org');
const bundle: TrustBundle = {
  trustDomain,
  x509Authorities: [{ certificate: authority.certificate, isTainted: false }],
  jwtAuthorities: [token('jwt')],
  witAuthorities: [token('wit')],
  refreshHintSeconds: 300,
  sequenceNumber: 7,
};

/** The same numbers on every run, so that a failure can be looked at. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PIECES = [
  '.',
  '=',
  '"',
  '\\',
  '{',
  '[',
  '}',
  ']',
  ':',
  ',',
  '\0',
  '\ufeff',
  'ä',
  '-',
  '_',
  'A',
  '9',
  'e9',
]
  .concat([
    'null',
    'true',
    '"exp":1,',
    '"sub":"spiffe://example.org/admin",',
    '"kid":"jwt",',
    '\\u0073',
    '1e999',
  ])
  .concat([
    '[[[[[[[[[[[[[[[[[[',
    '"keys":[],',
    '"use":"wit-svid",',
    '"x5c":["AAAA"],',
    '__proto__',
    ' '.repeat(999),
  ]);

function mutate(text: string, random: (below: number) => number): string {
  const start = random(text.length);
  const end = Math.min(text.length, start + 1 + random(random(4) === 0 ? text.length : 4));
  const piece = PIECES[random(PIECES.length)] ?? '';
  switch (random(6)) {
    case 0:
      return text.slice(0, start) + text.slice(end);
    case 1:
      return text.slice(0, start) + piece + text.slice(start);
    case 2:
      return text.slice(0, start) + piece + text.slice(end);
    case 3:
      return text.slice(0, end) + text.slice(start);
    case 4:
      return (
        text.slice(0, start) +
        String.fromCharCode(text.charCodeAt(start) ^ (1 << random(7))) +
        text.slice(start + 1)
      );
    default:
      return text.slice(0, end);
  }
}

/** In the text of a token, or beneath it in the text that one of its first two parts encodes. */
function mutateToken(text: string, random: (below: number) => number): string {
  const which = random(3);
  if (which === 2) return mutate(text, random);
  const parts = text.split('.');
  const json = mutate(Buffer.from(parts[which] ?? '', 'base64url').toString(), random);
  parts[which] = Buffer.from(json).toString('base64url');
  return parts.join('.');
}

async function timed<T>(work: () => T): Promise<Awaited<T> | BonafideError> {
  const start = performance.now();
  try {
    return await work();
  } catch (error) {
    if (error instanceof BonafideError) return error;
    throw error;
  } finally {
    expect(performance.now() - start).toBeLessThan(LIMIT_MS);
  }
}

describe('ten thousand mutations', () => {
  const exp = now.getTime() / 1000 + 300;
  const claims = { sub: 'spiffe://example.org/web', exp };
  const sign = (signingInput: Buffer): Promise<Buffer> => signJwsAs('ES256', privateKey, signingInput);
  const check = { bundle: (): TrustBundle => bundle, now };

  it.each([
    [
      'a JWT-SVID',
      { alg: 'ES256', kid: 'jwt', typ: 'JWT' },
      { ...claims, aud: [audience] },
      (text: string) => verifyJwtSvid({ ...check, token: text, audience }),
    ],
    [
      'a JWT-SVID without a key ID',
      { alg: 'ES256' },
      { ...claims, aud: audience },
      (text: string) => verifyJwtSvid({ ...check, token: text, audience }),
    ],
    [
      'a WIT-SVID',
      { alg: 'ES256', kid: 'wit', typ: 'wit+jwt' },
      { ...claims, cnf: { jwk: { ...spkiToJwk(spki), alg: 'ES256' } } },
      (text: string) => verifyWitSvid({ ...check, token: text }),
    ],
  ])(
    'of %s are all refused, each in bounded time',
    async (_name, header, payload, verify) => {
      const good = await encodeCompactJws(header, payload, sign);
      expect((await verify(good)).claims).toEqual(payload);
      const random = seeded(20_300_101);
      const reasons = new Set<string>();
      for (let count = 0; count < MUTATIONS;) {
        const mutated = mutateToken(good, random);
        if (mutated === good) continue;
        count += 1;
        const outcome = await timed(() => verify(mutated));
        if (!(outcome instanceof BonafideError)) throw new Error(`believed: ${mutated}`);
        reasons.add(outcome.message.replaceAll(/[0-9]+/g, '0').slice(0, 60));
        expect(outcome.message.length).toBeLessThan(400);
      }
      // They reach every room of the verifier, not only its door.
      expect(reasons.size).toBeGreaterThan(20);
    },
    300_000,
  );

  it('of a bundle document are refused, or read as something that can be written and read again, each in bounded time', async () => {
    const good = formatBundleDocument(bundle);
    const random = seeded(20_300_102);
    let refused = 0;
    for (let count = 0; count < MUTATIONS; count += 1) {
      const mutated = mutate(good, random);
      const outcome = await timed(() => parseBundleDocument(trustDomain, mutated));
      if (outcome instanceof BonafideError) {
        refused += 1;
        continue;
      }
      expect(outcome.trustDomain).toBe(trustDomain);
      if (count % 10 !== 0) continue;
      const written = formatBundleDocument(outcome);
      expect(formatBundleDocument(parseBundleDocument(trustDomain, written))).toBe(written);
      expect(outcome.jwtAuthorities.length + outcome.witAuthorities.length).toBeLessThanOrEqual(2);
    }
    expect(refused).toBeGreaterThan(MUTATIONS / 2);
    expect(refused).toBeLessThan(MUTATIONS);
  });
});
