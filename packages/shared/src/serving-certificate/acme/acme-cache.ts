/** The ACME account's key and the certificate of last time, kept in a private folder so that a restart asks the authority for nothing. */
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import {
  checkCertificatePair,
  type CheckedCertificatePair,
  type CertificatePair,
} from '../../crypto/certificate-pair.js';
import { generatePrivateKey } from '../../crypto/generate-key.js';
import { decodePem, encodePem } from '../../crypto/pem.js';
import { exportPkcs8, importPkcs8 } from '../../crypto/private-key-encoding.js';
import { parseX509Certificate } from '../../crypto/x509-certificate.js';
import { createPrivateDirectory, readFileIfExists, writeFileAtomic } from '../../runtime/private-file.js';

const KEY_END = '-----END PRIVATE KEY-----\n';

export class AcmeCache {
  readonly #accountPath: string | undefined;
  readonly #certificatePath: string | undefined;
  readonly #folder: string | undefined;

  /** @param folder undefined: nothing is kept. Each authority has its own account and certificate in it. */
  constructor(folder: string | undefined, directoryUrl: URL) {
    const name = directoryUrl.host.replace(/[^A-Za-z0-9.-]/g, '_');
    this.#folder = folder;
    this.#accountPath = folder && join(folder, `${name}.account-key.pem`);
    this.#certificatePath = folder && join(folder, `${name}.certificate.pem`);
  }

  /** The key of last time, or a new one that is kept from now on. */
  async accountKey(): Promise<KeyObject> {
    const present = await read(this.#accountPath);
    const [der] = present === undefined ? [] : decodePem('PRIVATE KEY', present);
    if (der !== undefined) return importPkcs8(der);
    const key = await generatePrivateKey('ec-p256');
    await this.#write(this.#accountPath, encodePem('PRIVATE KEY', exportPkcs8(key)));
    return key;
  }

  /** The certificate of last time, if it is for exactly these names. @throws BonafideError when the file is there and unreadable. */
  async certificate(domains: readonly string[]): Promise<CheckedCertificatePair | undefined> {
    const text = await read(this.#certificatePath);
    if (text === undefined) return undefined;
    const end = text.indexOf(KEY_END) + KEY_END.length;
    const pair = checkCertificatePair({ key: text.slice(0, end), cert: text.slice(end) });
    const [leaf] = decodePem('CERTIFICATE', pair.cert);
    const names = leaf === undefined ? [] : parseX509Certificate(leaf).dnsNames;
    return names.toSorted().join() === domains.toSorted().join() ? pair : undefined;
  }

  /** Key and chain in one file, so that they are replaced together. */
  async keepCertificate({ cert, key }: CertificatePair): Promise<void> {
    await this.#write(this.#certificatePath, `${key}${cert}`);
  }

  async #write(path: string | undefined, text: string): Promise<void> {
    if (path === undefined || this.#folder === undefined) return;
    await createPrivateDirectory(this.#folder);
    await writeFileAtomic(path, text);
  }
}

async function read(path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : (await readFileIfExists(path))?.toString('utf8');
}
