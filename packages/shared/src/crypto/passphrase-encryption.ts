/** Bytes under a passphrase: a key by scrypt (RFC 7914), AES-256-GCM with what names them authenticated (NIST SP 800-38D). */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { BonafideError } from '../errors/bonafide-error.js';

/** `BFPW`, version 1, the logarithm of scrypt's N, r, p; a salt and a nonce follow, then the ciphertext, then its tag. */
const MAGIC = Buffer.from('BFPW\u0001', 'latin1');
const LOG_N = 17;
/** More memory than this is not spent on what somebody may have forged. */
const LARGEST_LOG_N = 20;
const BLOCK_SIZE = 8;
const PARALLELIZATION = 1;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const HEADER_BYTES = MAGIC.length + 3;
const OVERHEAD_BYTES = HEADER_BYTES + SALT_BYTES + NONCE_BYTES + TAG_BYTES;

/** @param context what the bytes belong to: they cannot be decrypted as something else. */
export async function encryptWithPassphrase(
  plaintext: Uint8Array,
  passphrase: string,
  context: string,
): Promise<Buffer> {
  const header = Buffer.concat([MAGIC, Buffer.from([LOG_N, BLOCK_SIZE, PARALLELIZATION])]);
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', await deriveKey(passphrase, salt, LOG_N), nonce);
  cipher.setAAD(additionalData(header, salt, context));
  return Buffer.concat([header, salt, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/**
 * @throws BonafideError `invalid_argument` for what was not made by `encryptWithPassphrase`; `permission_denied` for another passphrase,
 * another context, or bytes that were changed: they cannot be told apart.
 */
export async function decryptWithPassphrase(
  encrypted: Buffer,
  passphrase: string,
  context: string,
): Promise<Buffer> {
  const header = encrypted.subarray(0, HEADER_BYTES);
  const [logN = 0, blockSize, parallelization] = header.subarray(MAGIC.length);
  const isOurs =
    encrypted.length >= OVERHEAD_BYTES &&
    header.subarray(0, MAGIC.length).equals(MAGIC) &&
    logN >= 1 &&
    logN <= LARGEST_LOG_N &&
    blockSize === BLOCK_SIZE &&
    parallelization === PARALLELIZATION;
  if (!isOurs) throw new BonafideError('invalid_argument', 'these are no bytes that a passphrase opens');
  const salt = encrypted.subarray(HEADER_BYTES, HEADER_BYTES + SALT_BYTES);
  const nonce = encrypted.subarray(HEADER_BYTES + SALT_BYTES, HEADER_BYTES + SALT_BYTES + NONCE_BYTES);
  const ciphertext = encrypted.subarray(HEADER_BYTES + SALT_BYTES + NONCE_BYTES, -TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', await deriveKey(passphrase, salt, logN), nonce, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(additionalData(header, salt, context));
  decipher.setAuthTag(encrypted.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  } catch (cause) {
    throw new BonafideError(
      'permission_denied',
      'the passphrase does not open it: it is another one, or the bytes were changed',
      { cause },
    );
  }
}

function additionalData(header: Buffer, salt: Buffer, context: string): Buffer {
  return Buffer.concat([header, salt, Buffer.from(context, 'utf8')]);
}

function deriveKey(passphrase: string, salt: Buffer, logN: number): Promise<Buffer> {
  const N = 2 ** logN;
  const options = { N, r: BLOCK_SIZE, p: PARALLELIZATION, maxmem: 256 * N * BLOCK_SIZE };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFC'), salt, KEY_BYTES, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
