/** Writes SVIDs, keys and bundles as PEM files under the names that SPIRE gives them. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { encodePem } from '@bonafide/shared/crypto/pem';
import type { X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { writeFileAtomic } from '@bonafide/shared/runtime/private-file';
import type { AnsweredSvid } from './x509-answer.js';

const PUBLIC_MODE = 0o644;
const PRIVATE_MODE = 0o600;

export async function writeSvids(
  directory: string,
  svids: readonly AnsweredSvid[],
  host: CommandHost,
): Promise<void> {
  const found = await stat(directory).catch(() => undefined); // told below what is expected
  if (found?.isDirectory() !== true) throw invalidArgument(`${directory} is no directory; make it first`);
  const write = async (what: string, name: string, text: string, mode: number): Promise<void> => {
    const path = join(directory, name);
    host.stdout.write(`Writing ${what} to file ${path}.\n`);
    await writeFileAtomic(path, text, mode);
  };
  for (const [index, svid] of svids.entries()) {
    await write(`SVID #${index}`, `svid.${index}.pem`, pem(svid.certificates), PUBLIC_MODE);
    await write(
      `key #${index}`,
      `svid.${index}.key`,
      encodePem('PRIVATE KEY', svid.privateKey),
      PRIVATE_MODE,
    );
    await write(`bundle #${index}`, `bundle.${index}.pem`, pem(svid.bundle), PUBLIC_MODE);
    for (const [number, [id, bundle]] of svid.federatedBundles.entries()) {
      const what = `federated bundle #${number} for trust domain ${id}`;
      await write(what, `federated_bundle.${index}.${number}.pem`, pem(bundle), PUBLIC_MODE);
    }
  }
}

function pem(certificates: readonly X509Certificate[]): string {
  return certificates.map(({ der }) => encodePem('CERTIFICATE', der)).join('');
}
