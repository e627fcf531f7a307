/** Identity tokens of Compute Engine instances: verified against Google's keys, and only then read. */
import type { KeyObject } from 'node:crypto';
import { verifyJws } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseCompactJws, type CompactJws } from '@bonafide/shared/jwt/compact-jws';
import {
  checkTimes,
  quote,
  readKeyId,
  readTimes,
  refuseCriticalExtensions,
} from '@bonafide/shared/jwt/token-claims';
import { DEFAULT_LEEWAY_SECONDS, readAudience } from '@bonafide/shared/jwt/verify-jwt-svid';
import { GCP_IIT_AUDIENCE } from '@bonafide/shared/node-attestation/gcp-iit-audience';
import { z } from 'zod';

/** The only one with which Google signs these; a token's own word on it chooses nothing. */
const ALGORITHM = 'RS256';
const ISSUERS: ReadonlySet<unknown> = new Set(['https://accounts.google.com', 'accounts.google.com']);

/** They become parts of IDs and URLs. */
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);
/** Older projects have their domain in front. */
const project = z.string().regex(/^[a-z0-9][a-z0-9.:-]{0,127}$/);

const claimsSchema = z.object({
  email: z.string().max(320).default(''),
  google: z.object({
    compute_engine: z.object({
      project_id: project,
      project_number: z.int().nonnegative(),
      zone: name,
      instance_id: name,
      instance_name: name,
      instance_creation_timestamp: z.int().nonnegative(),
    }),
  }),
});

export interface InstanceIdentity {
  readonly projectId: string;
  readonly projectNumber: number;
  readonly zone: string;
  readonly instanceId: string;
  readonly instanceName: string;
  readonly instanceCreationTimestamp: number;
  /** Empty for a token without it. */
  readonly serviceAccount: string;
}

interface KeyFinder {
  find(keyId: string): Promise<KeyObject | undefined>;
}

/** @throws BonafideError `invalid_argument` for what is no token of Google's; `permission_denied` for one that proves nothing to us, or no more. */
export async function verifyIdentityToken(
  token: string,
  keys: KeyFinder,
  now: Date,
): Promise<InstanceIdentity> {
  const jws = parseCompactJws(token);
  const { header, payload: claims } = jws;
  if (header['alg'] !== ALGORITHM) {
    throw invalidArgument(`the token's algorithm is ${quote(header['alg'])}; expected ${ALGORITHM}`);
  }
  refuseCriticalExtensions(header);
  await checkSignature(jws, keys);
  if (!ISSUERS.has(claims['iss'])) throw refusal(`the token's issuer ${quote(claims['iss'])} is not Google`);
  if (!readAudience(claims).includes(GCP_IIT_AUDIENCE)) {
    throw refusal(`the token is not for the audience ${GCP_IIT_AUDIENCE}`);
  }
  try {
    checkTimes(readTimes(claims), now, DEFAULT_LEEWAY_SECONDS);
  } catch (error) {
    if (error instanceof BonafideError) throw refusal(error.message);
    throw error;
  }
  const result = claimsSchema.safeParse(claims);
  if (!result.success) {
    throw invalidArgument(
      'the token says of no instance what it is; ask for it with format=full',
      result.error,
    );
  }
  const { email, google } = result.data;
  const instance = google.compute_engine;
  return {
    projectId: instance.project_id,
    projectNumber: instance.project_number,
    zone: instance.zone,
    instanceId: instance.instance_id,
    instanceName: instance.instance_name,
    instanceCreationTimestamp: instance.instance_creation_timestamp,
    serviceAccount: email,
  };
}

/** The key is one of Google's, named by its ID; whatever else the header offers (`jwk`, `jku`, `x5c`) is not looked at. */
async function checkSignature(
  { header, signingInput, signature }: CompactJws,
  keys: KeyFinder,
): Promise<void> {
  const keyId = readKeyId(header);
  if (keyId === undefined) throw invalidArgument('the token does not name its key');
  const publicKey = await keys.find(keyId);
  if (publicKey === undefined) throw refusal(`Google has no key ${quote(keyId)}`);
  if (await verifyJws({ algorithm: ALGORITHM, publicKey, data: signingInput, signature })) return;
  throw refusal('the signature of the token is wrong');
}

function refusal(message: string): BonafideError {
  return new BonafideError('permission_denied', message);
}
