/** OpenSSH certificates (PROTOCOL.certkeys), read strictly; whether to believe one is for the caller to say. */
import type { KeyObject } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import {
  isSshKeyType,
  parseSshPublicKey,
  readSshKey,
  SSH_KEY_TYPES,
  type SshKeyType,
  type SshPublicKey,
} from './ssh-public-key.js';
import { checkSshSignature, type SshSignature } from './ssh-signature.js';
import { SshReader } from './ssh-wire.js';

export interface SshCertificate {
  /** All of it, as SSH writes it. */
  readonly blob: Buffer;
  /** Of the certified key. */
  readonly keyType: SshKeyType;
  readonly key: KeyObject;
  readonly serial: bigint;
  readonly kind: 'user' | 'host';
  readonly keyId: string;
  readonly validPrincipals: readonly string[];
  /** Seconds since 1970; from then on. */
  readonly validAfter: bigint;
  /** Seconds since 1970; up to and without that one. */
  readonly validBefore: bigint;
  readonly criticalOptions: ReadonlyMap<string, Buffer>;
  readonly extensions: ReadonlyMap<string, Buffer>;
  readonly authority: SshPublicKey;
  /** What the signature covers. */
  readonly signed: Buffer;
  readonly signature: SshSignature;
}

const LARGEST_CERTIFICATE_BYTES = 16 * 1024;
const MOST_PRINCIPALS = 256;
const MOST_OPTIONS = 64;
const SUFFIX = '-cert-v01@openssh.com';
const SUBJECT = 'SSH certificate';

/** @throws BonafideError `invalid_argument` naming what is malformed or unsupported. The signature is not checked. */
export function parseSshCertificate(bytes: Buffer): SshCertificate {
  if (bytes.length > LARGEST_CERTIFICATE_BYTES)
    throw invalidArgument(`${SUBJECT} is longer than ${LARGEST_CERTIFICATE_BYTES} bytes`);
  const blob = Buffer.from(bytes); // a copy, so that nobody changes what was checked
  const reader = new SshReader(blob, SUBJECT);
  const keyType = readType(reader);
  reader.readString('nonce');
  const key = readSshKey(keyType, reader);
  const serial = reader.readUint64('serial number');
  const kind = readKind(reader);
  const keyId = reader.readText('key ID');
  const validPrincipals = readPrincipals(reader.readString('valid principals'));
  const validAfter = reader.readUint64('valid after');
  const validBefore = reader.readUint64('valid before');
  const criticalOptions = readOptions(reader.readString('critical options'), 'critical options');
  const extensions = readOptions(reader.readString('extensions'), 'extensions');
  reader.readString('reserved');
  const authority = parseSshPublicKey(reader.readString('signature key'));
  const signed = blob.subarray(0, reader.offset);
  const signature = readSignature(reader.readString('signature'));
  reader.expectEnd('certificate');
  return {
    ...{ blob, keyType, key, serial, kind, keyId, validPrincipals, validAfter, validBefore },
    ...{ criticalOptions, extensions, authority, signed, signature },
  };
}

/** @throws BonafideError `invalid_argument` unless the authority that the certificate names has signed it. */
export function checkSshCertificateSignature({ authority, signed, signature }: SshCertificate): void {
  checkSshSignature(authority, signed, signature, 'the signature of the SSH certificate');
}

function readType(reader: SshReader): SshKeyType {
  const name = reader.readText('type');
  const keyType = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : '';
  if (isSshKeyType(keyType)) return keyType;
  throw invalidArgument(
    `${JSON.stringify(name.slice(0, 64))} is no SSH certificate; accepted are ${SSH_KEY_TYPES.map((type) => type + SUFFIX).join(', ')}`,
  );
}

function readKind(reader: SshReader): 'user' | 'host' {
  const kind = reader.readUint32('kind');
  if (kind === 1) return 'user';
  if (kind === 2) return 'host';
  throw reader.malformed('kind', 'is neither user nor host');
}

function readPrincipals(list: Buffer): readonly string[] {
  const reader = new SshReader(list, SUBJECT);
  const principals: string[] = [];
  while (!reader.isAtEnd()) {
    if (principals.length === MOST_PRINCIPALS)
      throw reader.malformed('valid principals', `are more than ${MOST_PRINCIPALS}`);
    const principal = reader.readText('valid principal');
    if (principal === '' || /\p{Cc}/u.test(principal))
      throw reader.malformed('valid principal', 'is no name');
    principals.push(principal);
  }
  return principals;
}

/** Names in order, each once; their data is for whoever knows them. */
function readOptions(list: Buffer, field: string): ReadonlyMap<string, Buffer> {
  const reader = new SshReader(list, SUBJECT);
  const options = new Map<string, Buffer>();
  let last = '';
  while (!reader.isAtEnd()) {
    if (options.size === MOST_OPTIONS) throw reader.malformed(field, `are more than ${MOST_OPTIONS}`);
    const name = reader.readText(field);
    if (name <= last) throw reader.malformed(field, 'are not in order');
    options.set(name, reader.readString(field));
    last = name;
  }
  return options;
}

function readSignature(bytes: Buffer): SshSignature {
  const reader = new SshReader(bytes, SUBJECT);
  const format = reader.readText('signature algorithm');
  const blob = reader.readString('signature');
  reader.expectEnd('signature');
  return { format, blob };
}
