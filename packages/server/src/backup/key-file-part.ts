/** The part of a backup with the keys of the authorities: the key file as it is, under a passphrase. */
import { decryptWithPassphrase, encryptWithPassphrase } from '@bonafide/shared/crypto/passphrase-encryption';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { readFileIfExists } from '@bonafide/shared/runtime/private-file';

const LARGEST_KEY_FILE_BYTES = 16 * 1024 * 1024;

/** @throws BonafideError `failed_precondition` when there is no key file. */
export async function encryptKeyFile(
  keysPath: string | undefined,
  trustDomain: TrustDomain,
  passphrase: string,
): Promise<Buffer> {
  if (keysPath === undefined) {
    throw new BonafideError(
      'failed_precondition',
      'the keys of this server are in memory only and cannot be backed up; leave --include-keys out',
    );
  }
  const content = await readFileIfExists(keysPath);
  if (content === undefined) {
    throw new BonafideError(
      'failed_precondition',
      `there is no key file ${keysPath}; has the server ever run?`,
    );
  }
  return await encryptWithPassphrase(content, passphrase, contextOf(trustDomain));
}

export async function decryptKeyFile(
  chunks: AsyncIterable<Buffer>,
  trustDomain: TrustDomain,
  passphrase: string,
): Promise<Buffer> {
  const encrypted: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > LARGEST_KEY_FILE_BYTES) {
      throw new BonafideError('invalid_argument', 'the part of the backup with the keys is too large');
    }
    encrypted.push(chunk);
  }
  return await decryptWithPassphrase(Buffer.concat(encrypted), passphrase, contextOf(trustDomain));
}

function contextOf(trustDomain: TrustDomain): string {
  return `bonafide-server backup: keys of ${trustDomain}`;
}
