/** RSA-PSS signatures that OpenSSL would also take without their first byte. */
import { constants, sign, type KeyObject } from 'node:crypto';

const MOST_TRIES = 10_000;

/** With a salt as long as the hash, which is another one each time: one signature in 256 or so begins with zero. */
export function pssSignatureThatBeginsWithZero(key: KeyObject, hash: string, data: Buffer): Buffer {
  const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  for (let count = 0; count < MOST_TRIES; count += 1) {
    const signature = sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
    if (signature[0] === 0) return signature;
  }
  throw new Error(`none of ${MOST_TRIES} signatures began with zero`);
}
