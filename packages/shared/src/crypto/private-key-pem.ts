/** Private keys in PEM files as OpenSSL writes them: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) and SEC 1 (RFC 5915), unencrypted. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { DerReader } from './der/der-reader.js';
import { DER_TAG } from './der/der-tag.js';
import { decodePem } from './pem.js';

/** With the tag of what follows the version, by which the forms differ: some releases of OpenSSL take any of them for any other. */
const FORMS = {
  'PRIVATE KEY': { type: 'pkcs8', second: DER_TAG.sequence },
  'RSA PRIVATE KEY': { type: 'pkcs1', second: DER_TAG.integer },
  'EC PRIVATE KEY': { type: 'sec1', second: DER_TAG.octetString },
} as const;

/** OpenSSL's `ecparam -genkey` names the curve once more in a block of its own. */
const EC_PARAMETERS = /-----BEGIN EC PARAMETERS-----[\s\S]*?-----END EC PARAMETERS-----/;

/** Exactly one key. @throws BonafideError `invalid_argument`; the message never quotes what the file holds. */
export function parsePrivateKeyPem(text: string): KeyObject {
  const label = /^-----BEGIN ([A-Z0-9 ]+)-----/m.exec(text.replace(EC_PARAMETERS, ''))?.[1];
  if (label === 'ENCRYPTED PRIVATE KEY' || text.includes('Proc-Type: 4,ENCRYPTED')) {
    throw invalidArgument('the private key is encrypted; expected one without a passphrase');
  }
  if (label === undefined || !isForm(label)) {
    throw invalidArgument(
      'no private key; expected one PEM block PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY',
    );
  }
  const [der, ...more] = decodePem(label, text.replace(EC_PARAMETERS, ''));
  if (der === undefined || more.length > 0) throw invalidArgument('more than one private key; expected one');
  const { type, second } = FORMS[label];
  try {
    const fields = new DerReader(der, 'private key').enter(DER_TAG.sequence, 'key');
    fields.readInteger('version');
    fields.readElement(second, 'content');
    return createPrivateKey({ key: der, format: 'der', type });
  } catch (cause) {
    throw invalidArgument(`the private key is malformed; expected ${type.toUpperCase()}`, cause);
  }
}

function isForm(label: string): label is keyof typeof FORMS {
  return Object.hasOwn(FORMS, label);
}
