/** Authorities of someone else's PKI that vouch for nodes: a PEM file that operators keep. */
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { NodeAttestorHost } from './node-attestor.js';
import { WatchedFile } from './watched-file.js';

/** Its certificates, DER, as the file is now. @throws BonafideError `invalid_argument` naming the file. */
export function watchAuthorities(
  path: string,
  { clock, log }: Pick<NodeAttestorHost, 'clock' | 'log'>,
): Promise<WatchedFile<readonly Buffer[]>> {
  return WatchedFile.open({ path, parse: ([file]) => readAuthorities(path, file?.text ?? ''), clock, log });
}

function readAuthorities(path: string, text: string): readonly Buffer[] {
  try {
    const authorities = decodePem('CERTIFICATE', text);
    for (const der of authorities) parseX509Certificate(der);
    return authorities;
  } catch (error) {
    throw invalidArgument(`unable to load trust bundle ${path}: ${errorMessage(error)}`, error);
  }
}
