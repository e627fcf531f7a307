/** A file of private keys, as SPIRE's disk key manager lays it out: `{"keys": {"<key id>": "<base64 PKCS#8>"}}`. */
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { decodeBase64 } from '@bonafide/shared/crypto/pem';
import { importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner, type Signer } from '@bonafide/shared/crypto/signer';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { readFileIfExists } from '@bonafide/shared/runtime/private-file';

const keyFileSchema = z.strictObject({ keys: z.record(z.string().min(1), z.string()) });

export interface StoredKey {
  /** Base64 PKCS#8, as it is in the file. */
  readonly encoded: string;
  readonly signer: Signer;
}

/** By key ID; undefined when there is no such file. @throws BonafideError `failed_precondition` when it is damaged or others may read it. */
export async function readKeyFile(path: string): Promise<ReadonlyMap<string, StoredKey> | undefined> {
  const text = await readFileIfExists(path);
  if (text === undefined) return undefined;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    throw new BonafideError(
      'failed_precondition',
      `${path} holds private keys and others may read it; run: chmod 600 ${path}`,
    );
  }
  return parseKeyFile(path, text.toString('utf8'));
}

function parseKeyFile(path: string, text: string): ReadonlyMap<string, StoredKey> {
  try {
    const { keys } = keyFileSchema.parse(JSON.parse(text));
    return new Map(
      Object.entries(keys).map(([keyId, encoded]) => [
        keyId,
        {
          encoded,
          signer: createKeySigner(importPkcs8(decodeBase64(encoded, `key ${JSON.stringify(keyId)}`))),
        },
      ]),
    );
  } catch (cause) {
    // What the parser says of JSON may quote the text, and the text is keys.
    const reason = cause instanceof BonafideError ? `: ${errorMessage(cause)}` : '';
    throw new BonafideError('failed_precondition', `the key file ${path} is damaged${reason}`);
  }
}
