/** Makes a key and a CSR for each of many entries, a few at a time, so that the event loop stays free for the callers. */
import type { KeyObject } from 'node:crypto';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { mapInWindow } from './map-in-window.js';

export interface PreparedRequest {
  readonly entry: RegistrationEntry;
  readonly privateKey: KeyObject;
  /** DER. */
  readonly csr: Buffer;
}

/** In the order of the entries. */
export function prepareRequests(
  entries: readonly RegistrationEntry[],
  keyType: KeyType,
): Promise<readonly PreparedRequest[]> {
  return mapInWindow(entries, async (entry) => {
    const privateKey = await generatePrivateKey(keyType);
    // The server takes only the key from it; the name makes its log readable.
    const csr = await createCertificateSigningRequest(privateKey, { uriNames: [entry.spiffeId] });
    return { entry, privateKey, csr };
  });
}
