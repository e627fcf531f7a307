/** A CA from PEM files: its key, its certificate with what leads to the trust anchors, and the trust anchors; checked to belong together. */
import { readFile, stat } from 'node:fs/promises';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parsePrivateKeyPem } from '@bonafide/shared/crypto/private-key-pem';
import { createKeySigner, type Signer } from '@bonafide/shared/crypto/signer';
import { verifyX509Authority } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export interface DiskAuthorityFiles {
  readonly keyPath: string;
  readonly certPath: string;
  /** Undefined: the certificate is self-signed and its own trust anchor. */
  readonly bundlePath: string | undefined;
}

export interface DiskAuthority {
  readonly certificate: X509Certificate;
  readonly signer: Signer;
  /** DER; what follows our CA certificates on the wire: the CA itself and its intermediates, without trust anchors. */
  readonly chain: readonly Buffer[];
  /** DER. */
  readonly roots: readonly Buffer[];
  /** The first end of everything in the chain. */
  readonly notAfter: Date;
  /** Whether others than their owner may read the key. */
  readonly isKeyExposed: boolean;
}

const MAX_FILE_BYTES = 1024 * 1024;

/** @throws BonafideError `invalid_argument` or `unavailable` naming the file. */
export async function loadDiskAuthority(
  { keyPath, certPath, bundlePath }: DiskAuthorityFiles,
  { trustDomain, now }: { readonly trustDomain: TrustDomain; readonly now: Date },
): Promise<DiskAuthority> {
  const signer = await inFile('key_file_path', keyPath, async () =>
    createKeySigner(parsePrivateKeyPem(await readText(keyPath))),
  );
  const chain = await inFile('cert_file_path', certPath, () => readCertificates(certPath));
  const roots =
    bundlePath === undefined
      ? chain
      : await inFile('bundle_file_path', bundlePath, () => readCertificates(bundlePath));
  const certificate = await inFile('cert_file_path', certPath, () =>
    Promise.resolve(checkChain(chain, roots, { trustDomain, now, isSelfSigned: bundlePath === undefined })),
  );
  if (!certificate.publicKey.equals(signer.publicKey)) {
    throw invalidArgument(
      `key_file_path ${keyPath}: the key does not belong to the first certificate of cert_file_path ${certPath}`,
    );
  }
  const sent = chain.filter((der) => !roots.some((root) => root.equals(der)));
  const ends = [certificate, ...sent.map((der) => parseX509Certificate(der))].map(({ notAfter }) => notAfter);
  return {
    certificate,
    signer,
    chain: sent,
    roots,
    notAfter: new Date(Math.min(...ends.map((end) => end.getTime()))),
    isKeyExposed: ((await stat(keyPath)).mode & 0o077) !== 0,
  };
}

function checkChain(
  chain: readonly Buffer[],
  roots: readonly Buffer[],
  context: { readonly trustDomain: TrustDomain; readonly now: Date; readonly isSelfSigned: boolean },
): X509Certificate {
  if (context.isSelfSigned && chain.length > 1) {
    throw invalidArgument(
      'has more than one certificate; without bundle_file_path it must be one that is self-signed',
    );
  }
  const certificate = verifyX509Authority({ chain, authorities: roots, ...context });
  if (context.isSelfSigned && !certificate.issuer.equals(certificate.subject)) {
    throw invalidArgument('is not self-signed; expected its root certificates in bundle_file_path');
  }
  if (certificate.pathLength === 0) {
    throw invalidArgument('allows no signing certificate below it (path length 0)');
  }
  return certificate;
}

async function readCertificates(path: string): Promise<readonly Buffer[]> {
  return decodePem('CERTIFICATE', await readText(path)).map((der) => parseX509Certificate(der).der);
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path);
  if (size > MAX_FILE_BYTES) throw invalidArgument(`is longer than ${MAX_FILE_BYTES} bytes`);
  return readFile(path, 'utf8');
}

async function inFile<T>(key: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = error instanceof BonafideError ? error.reason : 'unavailable';
    throw new BonafideError(reason, `${key} ${path}: ${errorMessage(error)}`, { cause: error });
  }
}

/** Changes when one of the files was written or replaced. */
export async function filesVersion({ keyPath, certPath, bundlePath }: DiskAuthorityFiles): Promise<string> {
  const paths = [keyPath, certPath, ...(bundlePath === undefined ? [] : [bundlePath])];
  const versions = await Promise.all(
    paths.map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => undefined); // a file that is gone is a change too
      return found === undefined ? 'gone' : [found.ino, found.size, found.mtimeNs, found.mode].join(' ');
    }),
  );
  return versions.join('\n');
}
