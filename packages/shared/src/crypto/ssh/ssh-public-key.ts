/** SSH public keys (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709): RSA, ECDSA on the NIST curves, Ed25519. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { SshReader } from './ssh-wire.js';

export const SSH_KEY_TYPES = [
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-ed25519',
] as const;
export type SshKeyType = (typeof SSH_KEY_TYPES)[number];

export interface SshPublicKey {
  readonly type: SshKeyType;
  /** As SSH writes it. */
  readonly blob: Buffer;
  readonly key: KeyObject;
}

const LARGEST_KEY_BYTES = 4 * 1024;
const FEWEST_RSA_BYTES = 2048 / 8;
const MOST_RSA_BYTES = 8192 / 8;
const MOST_RSA_EXPONENT_BYTES = 4;

/** By SSH's name of the curve. */
export const SSH_CURVES = {
  nistp256: { jwk: 'P-256', bytes: 32, hash: 'sha256' },
  nistp384: { jwk: 'P-384', bytes: 48, hash: 'sha384' },
  nistp521: { jwk: 'P-521', bytes: 66, hash: 'sha512' },
} as const;
export type SshCurve = keyof typeof SSH_CURVES;

export function isSshKeyType(type: string): type is SshKeyType {
  return SSH_KEY_TYPES.some((known) => known === type);
}

/** @throws BonafideError `invalid_argument` for other kinds of keys, certificates among them, and keys that cannot be. */
export function parseSshPublicKey(blob: Buffer): SshPublicKey {
  if (blob.length > LARGEST_KEY_BYTES)
    throw invalidArgument(`SSH key is longer than ${LARGEST_KEY_BYTES} bytes`);
  const reader = new SshReader(blob, 'SSH key');
  const type = reader.readText('type');
  if (!isSshKeyType(type)) {
    throw invalidArgument(
      `SSH key of type ${JSON.stringify(type.slice(0, 64))}; accepted are ${SSH_KEY_TYPES.join(', ')}`,
    );
  }
  const key = readSshKey(type, reader);
  reader.expectEnd('key');
  return { type, blob, key };
}

/** What follows the type, in keys and in certificates alike. */
export function readSshKey(type: SshKeyType, reader: SshReader): KeyObject {
  switch (type) {
    case 'ssh-rsa': {
      const e = reader.readPositiveInteger('RSA exponent');
      const n = reader.readPositiveInteger('RSA modulus');
      // Before any arithmetic: large numbers are dear, and small ones are no protection.
      if (n.length < FEWEST_RSA_BYTES || n.length > MOST_RSA_BYTES)
        throw invalidArgument(`RSA key of ${n.length * 8} bits in an SSH key; accepted are 2048 to 8192`);
      if (e.length > MOST_RSA_EXPONENT_BYTES || ((e.at(-1) ?? 0) & 1) === 0)
        throw reader.malformed('RSA exponent', 'is unsupported; 65537 is usual');
      return importKey({ kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') });
    }
    case 'ssh-ed25519': {
      const x = reader.readString('Ed25519 key');
      if (x.length !== 32) throw reader.malformed('Ed25519 key', 'is not 32 bytes long');
      return importKey({ kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') });
    }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521': {
      const curve = curveOf(type);
      const { jwk, bytes } = SSH_CURVES[curve];
      if (reader.readText('curve') !== curve) throw reader.malformed('curve', 'is not that of the type');
      const point = reader.readString('point');
      if (point.length !== 1 + 2 * bytes || point[0] !== 4)
        throw reader.malformed('point', 'is not an uncompressed point of its curve');
      const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
      return importKey({ kty: 'EC', crv: jwk, x: x.toString('base64url'), y: y.toString('base64url') });
    }
  }
}

export function curveOf(type: Exclude<SshKeyType, 'ssh-rsa' | 'ssh-ed25519'>): SshCurve {
  switch (type) {
    case 'ecdsa-sha2-nistp256':
      return 'nistp256';
    case 'ecdsa-sha2-nistp384':
      return 'nistp384';
    case 'ecdsa-sha2-nistp521':
      return 'nistp521';
  }
}

function importKey(key: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key, format: 'jwk' });
  } catch (cause) {
    throw invalidArgument('the SSH key is impossible', cause);
  }
}
