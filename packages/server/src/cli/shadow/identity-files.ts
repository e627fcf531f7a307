/** An X.509-SVID in the PEM files that `x509 mint --write` and `api fetch x509 --write` make: the chain, its key, the bundle to believe. */
import { createPublicKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parsePrivateKeyPem } from '@bonafide/shared/crypto/private-key-pem';
import { parseX509SvidLeaf } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { WorkloadIdentity } from '../../authority/upstream/spire/read-workload-identity.js';

export interface IdentityFiles {
  readonly svid: string;
  readonly key: string;
  readonly bundle: string;
}

const LARGEST_FILE_BYTES = 4 * 1024 * 1024;

/** @throws BonafideError `invalid_argument` naming the flag and the file; never what the key file holds. */
export async function loadIdentityFiles({ svid, key, bundle }: IdentityFiles): Promise<WorkloadIdentity> {
  const certificateChain = await inFile('--spire-svid', svid, certificatesIn);
  const privateKey = await inFile('--spire-key', key, parsePrivateKeyPem);
  const authorities = await inFile('--spire-bundle', bundle, certificatesIn);
  const { spiffeId, leaf } = await inFile('--spire-svid', svid, () =>
    parseX509SvidLeaf(certificateChain[0] ?? Buffer.alloc(0)),
  );
  if (!createPublicKey(privateKey).equals(leaf.publicKey)) {
    throw invalidArgument(
      `--spire-key ${key} does not belong to the first certificate of --spire-svid ${svid}`,
    );
  }
  const { notBefore, notAfter } = leaf;
  return { spiffeId, certificateChain, privateKey, notBefore, notAfter, authorities };
}

function certificatesIn(text: string): readonly Buffer[] {
  const certificates = decodePem('CERTIFICATE', text).map((der) => parseX509Certificate(der).der);
  if (certificates.length === 0) throw invalidArgument('has no certificate; expected PEM');
  return certificates;
}

async function inFile<T>(flag: string, path: string, read: (text: string) => T): Promise<T> {
  try {
    const { size } = await stat(path);
    if (size > LARGEST_FILE_BYTES) throw invalidArgument(`is larger than ${LARGEST_FILE_BYTES} bytes`);
    return read(await readFile(path, 'utf8'));
  } catch (error) {
    throw new BonafideError('invalid_argument', `${flag} ${path}: ${errorMessage(error)}`, { cause: error });
  }
}
