/** How many JWT-SVIDs a process signs and verifies each second, beside what node:crypto alone does with the same bytes. */
import { sign, verify, type KeyObject, type SignKeyObjectInput } from 'node:crypto';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { addSeconds, systemClock } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { JwtSvidIssuance } from '@bonafide/server/issuance/issue-jwt-svid';
import { perSecond, type Operation } from './measuring/per-second.js';
import type { Row } from './row.js';

const TRUST_DOMAIN = parseTrustDomain('example.org');
const SPIFFE_ID = parseSpiffeId('spiffe://example.org/ns/default/sa/workload-1');
const AUDIENCE = 'spiffe://example.org/ns/default/sa/database';
const DISTINCT_TOKENS = 200;
const ROUNDS = 5;
const ROUND_MS = 300;

export async function measure(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [algorithm, keyType] of [
    ['ES256', 'ec-p256'],
    ['RS256', 'rsa-2048'],
  ] as const) {
    const operations = await prepare(await generatePrivateKey(keyType));
    const rates = { rawSign: [], sign: [], rawVerify: [], verify: [] } satisfies Record<
      keyof Operations,
      number[]
    >;
    // Round by round in turn, so that a busy neighbour disturbs all alike; the median round counts.
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const name of ['rawSign', 'sign', 'rawVerify', 'verify'] as const) {
        (rates[name] as number[]).push(await perSecond(operations[name], ROUND_MS));
      }
    }
    const row = (what: string, ours: readonly number[], raw: readonly number[], call: string): Row => ({
      what: `JWT-SVIDs ${what} (${algorithm})`,
      value: median(ours),
      unit: '/s',
      reference: { what: `node:crypto ${call} alone, same run`, value: median(raw), unit: '/s' },
    });
    rows.push(row('issued', rates.sign, rates.rawSign, 'sign'));
    rows.push(row('verified', rates.verify, rates.rawVerify, 'verify'));
  }
  return rows;
}

interface Operations {
  readonly sign: Operation;
  readonly rawSign: Operation;
  readonly verify: Operation;
  readonly rawVerify: Operation;
}

async function prepare(privateKey: KeyObject): Promise<Operations> {
  const signer = createKeySigner(privateKey);
  const authority = { keyId: 'bench', signer, notAfter: addSeconds(systemClock.now(), 24 * 3600) };
  const issuance = new JwtSvidIssuance({
    trustDomain: TRUST_DOMAIN,
    authorities: { activeJwt: () => authority },
    clock: systemClock,
    issuer: 'https://oidc.example.org',
  });
  const issue: Operation = () =>
    issuance.issue({ spiffeId: SPIFFE_ID, audience: [AUDIENCE], ttlSeconds: 300, includesTokenId: true });
  const bundle = bundleOf(exportSpki(signer.publicKey));
  const tokens: string[] = [];
  for (let index = 0; index < DISTINCT_TOKENS; index += 1) {
    const { token } = await issuance.issue({
      spiffeId: SPIFFE_ID,
      audience: [AUDIENCE],
      ttlSeconds: 3600,
      includesTokenId: true,
    });
    tokens.push(token);
  }
  const parsed = tokens.map((token) => parseCompactJws(token));
  return {
    sign: issue,
    rawSign: (index) => rawSign({ key: privateKey, ...P1363 }, at(parsed, index).signingInput),
    verify: (index) =>
      verifyJwtSvid({
        token: at(tokens, index),
        audience: AUDIENCE,
        bundle: () => bundle,
        now: systemClock.now(),
      }),
    rawVerify: (index) => {
      const { signingInput, signature } = at(parsed, index);
      return rawVerify({ key: signer.publicKey, ...P1363 }, signingInput, signature);
    },
  };
}

const P1363 = { dsaEncoding: 'ieee-p1363' } as const;

function rawSign(key: SignKeyObjectInput, data: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign('sha256', data, key, (error, signature) => {
      if (error === null) resolve(signature);
      else reject(error);
    });
  });
}

function rawVerify(key: SignKeyObjectInput, data: Buffer, signature: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    verify('sha256', data, key, signature, (error, isValid) => {
      if (error !== null) reject(error);
      else if (isValid) resolve();
      else reject(new Error('the token does not verify'));
    });
  });
}

function bundleOf(publicKey: Buffer): TrustBundle {
  return {
    trustDomain: TRUST_DOMAIN,
    x509Authorities: [],
    jwtAuthorities: [{ keyId: 'bench', publicKey, expiresAt: undefined, isTainted: false }],
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber: 1,
  };
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index % items.length];
  if (item === undefined) throw new Error('nothing was prepared');
  return item;
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
