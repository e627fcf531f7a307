/** SSH private keys as OpenSSH's files hold them (PROTOCOL.key), unencrypted, or in one of the older PEM forms. */
import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { decodePem } from '../pem.js';
import { parsePrivateKeyPem } from '../private-key-pem.js';
import { curveOf, isSshKeyType, SSH_CURVES, type SshKeyType } from './ssh-public-key.js';
import { SshReader } from './ssh-wire.js';

const LABEL = 'OPENSSH PRIVATE KEY';
const MAGIC = Buffer.from('openssh-key-v1\0');
const SUBJECT = 'SSH private key';

/** Exactly one key. @throws BonafideError `invalid_argument`; the message never quotes what the file holds. */
export function parseSshPrivateKey(text: string): KeyObject {
  if (!text.includes(`-----BEGIN ${LABEL}-----`)) return parsePrivateKeyPem(text);
  const [file, ...more] = decodePem(LABEL, text);
  if (file === undefined || more.length > 0) throw invalidArgument('more than one private key; expected one');
  const reader = new SshReader(file, SUBJECT);
  if (!reader.readBytes(MAGIC.length, 'format').equals(MAGIC)) throw reader.malformed('format', 'is unknown');
  const cipher = reader.readText('cipher');
  const derivation = reader.readText('key derivation');
  if (cipher !== 'none' || derivation !== 'none') {
    throw invalidArgument('the private key is encrypted; expected one without a passphrase');
  }
  reader.readString('key derivation options');
  if (reader.readUint32('number of keys') !== 1) throw reader.malformed('file', 'has more than one key');
  reader.readString('public key');
  const content = reader.readString('private key');
  reader.expectEnd('file');
  return readPrivateKey(new SshReader(content, SUBJECT));
}

function readPrivateKey(reader: SshReader): KeyObject {
  const check = reader.readUint32('check');
  if (reader.readUint32('check') !== check) throw reader.malformed('check', 'does not match');
  const type = reader.readText('type');
  if (!isSshKeyType(type)) throw invalidArgument('the SSH private key is of an unsupported type');
  const key = readNumbers(type, reader);
  reader.readString('comment');
  for (let padding = 1; !reader.isAtEnd(); padding += 1) {
    if (reader.readBytes(1, 'padding')[0] !== (padding & 0xff)) throw reader.malformed('padding', 'is wrong');
  }
  try {
    return createPrivateKey({ key, format: 'jwk' });
  } catch (cause) {
    throw invalidArgument('the SSH private key is malformed', cause);
  }
}

function readNumbers(type: SshKeyType, reader: SshReader): JsonWebKey {
  switch (type) {
    case 'ssh-rsa': {
      const [n, e, d, qi, p, q] = ['n', 'e', 'd', 'iqmp', 'p', 'q'].map((field) =>
        reader.readPositiveInteger(field),
      );
      return {
        kty: 'RSA',
        ...{ n: base64url(n), e: base64url(e), d: base64url(d), p: base64url(p), q: base64url(q) },
        ...{ dp: exponentOf(d, p), dq: exponentOf(d, q), qi: base64url(qi) },
      };
    }
    case 'ssh-ed25519': {
      const x = reader.readString('public key');
      const both = reader.readString('private key');
      if (both.length !== 64 || !both.subarray(32).equals(x))
        throw reader.malformed('private key', 'is no Ed25519 key');
      return { kty: 'OKP', crv: 'Ed25519', x: base64url(x), d: base64url(both.subarray(0, 32)) };
    }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521': {
      const { jwk, bytes } = SSH_CURVES[curveOf(type)];
      reader.readString('curve');
      const point = reader.readString('point');
      if (point.length !== 1 + 2 * bytes) throw reader.malformed('point', 'is not of its curve');
      const number = reader.readPositiveInteger('private number');
      if (number.length > bytes) throw reader.malformed('private number', 'is not of its curve');
      const d = Buffer.concat([Buffer.alloc(bytes - number.length), number]);
      const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
      return { kty: 'EC', crv: jwk, x: base64url(x), y: base64url(y), d: base64url(d) };
    }
  }
}

function base64url(bytes: Buffer | undefined): string {
  return (bytes ?? Buffer.alloc(0)).toString('base64url');
}

/** RFC 8017 section 3.2: OpenSSH's file leaves out what can be computed. */
function exponentOf(d: Buffer | undefined, prime: Buffer | undefined): string {
  const number = (bytes: Buffer | undefined): bigint => BigInt(`0x${bytes?.toString('hex') ?? '0'}`);
  const hex = (number(d) % (number(prime) - 1n)).toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}
