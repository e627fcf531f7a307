/** Makes a key and a CSR for each of many entries, a few at a time, so that the event loop stays free for the callers. */
import type { KeyObject } from 'node:crypto';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';

export interface PreparedRequest {
  readonly entry: RegistrationEntry;
  readonly privateKey: KeyObject;
  /** DER. */
  readonly csr: Buffer;
}

/** Enough to keep the thread pool busy; more would only lengthen the turns of the event loop. */
const WINDOW = 6;

/** In the order of the entries. */
export async function prepareRequests(
  entries: readonly RegistrationEntry[],
  keyType: KeyType,
): Promise<readonly PreparedRequest[]> {
  const prepared: PreparedRequest[] = [];
  const remaining = entries.entries();
  const work = async (): Promise<void> => {
    for (const [index, entry] of remaining) {
      const privateKey = await generatePrivateKey(keyType);
      // The server takes only the key from it; the name makes its log readable.
      const csr = await createCertificateSigningRequest(privateKey, { uriNames: [entry.spiffeId] });
      prepared[index] = { entry, privateKey, csr };
    }
  };
  await Promise.all(Array.from({ length: Math.min(WINDOW, entries.length) }, work));
  return prepared;
}
