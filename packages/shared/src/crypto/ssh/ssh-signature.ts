/** SSH signatures (RFC 8332, RFC 5656 section 3.1.2, RFC 8709 section 6); RSA with SHA-2 alone. */
import { sign, verify, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { curveOf, SSH_CURVES, type SshKeyType } from './ssh-public-key.js';
import { sshPositiveInteger, SshReader } from './ssh-wire.js';

export interface SshSignature {
  /** The algorithm: the key's type, or for RSA `rsa-sha2-256` or `rsa-sha2-512`. */
  readonly format: string;
  readonly blob: Buffer;
}

const RSA_HASHES: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' };
const ED25519_SIGNATURE_BYTES = 64;

export interface SshVerifyingKey {
  readonly type: SshKeyType;
  readonly key: KeyObject;
}

/** @throws BonafideError `invalid_argument` with what is wrong about the signature. */
export function checkSshSignature(
  { type, key }: SshVerifyingKey,
  data: Buffer,
  { format, blob }: SshSignature,
  what: string,
): void {
  const isValid = ((): boolean => {
    if (type === 'ssh-rsa') {
      const hash = RSA_HASHES[format];
      if (hash === undefined) {
        throw invalidArgument(
          `${what} is by ${JSON.stringify(format.slice(0, 64))}; accepted of RSA keys are rsa-sha2-256 and rsa-sha2-512`,
        );
      }
      return verify(hash, data, key, blob);
    }
    if (format !== type) throw invalidArgument(`${what} is not by the algorithm of its key, ${type}`);
    if (type === 'ssh-ed25519')
      return blob.length === ED25519_SIGNATURE_BYTES && verify(null, data, key, blob);
    const { hash, bytes } = SSH_CURVES[curveOf(type)];
    const reader = new SshReader(blob, what);
    const numbers = [reader.readPositiveInteger('r'), reader.readPositiveInteger('s')];
    reader.expectEnd('s');
    if (numbers.some(({ length }) => length > bytes)) return false;
    const padded = numbers.map((number) => Buffer.concat([Buffer.alloc(bytes - number.length), number]));
    return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, Buffer.concat(padded));
  })();
  if (!isValid) throw invalidArgument(`${what} is wrong`);
}

/** @param type of the key. */
export function signForSsh(type: SshKeyType, privateKey: KeyObject, data: Buffer): SshSignature {
  if (type === 'ssh-rsa') return { format: 'rsa-sha2-256', blob: sign('sha256', data, privateKey) };
  if (type === 'ssh-ed25519') return { format: type, blob: sign(null, data, privateKey) };
  const { hash, bytes } = SSH_CURVES[curveOf(type)];
  const signature = sign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const [r, s] = [signature.subarray(0, bytes), signature.subarray(bytes)];
  return { format: type, blob: Buffer.concat([sshPositiveInteger(r), sshPositiveInteger(s)]) };
}
