/** Who made a TPM, as its EK certificate says in a directory name (TCG EK Credential Profile 2.5 section 3.2.9). */
import { DerReader, enterOnly } from '@bonafide/shared/crypto/der/der-reader';
import { contextTag, DER_TAG } from '@bonafide/shared/crypto/der/der-tag';
import { objectIdentifierHex, OID } from '@bonafide/shared/crypto/der/object-identifier';
import type { X509Certificate } from '@bonafide/shared/crypto/x509-certificate';

const SUBJECT = 'EK certificate';
const FIELD = 'subject alternative name';
const TPM_MANUFACTURER = objectIdentifierHex('2.23.133.2.1');
const DIRECTORY_NAME = contextTag(4);
const MOST_ATTRIBUTES = 64;

/**
 * The name that the TCG registered, such as `AMD` or `INTC`; for an ID that is no text its eight hexadecimal digits. Undefined: the
 * certificate does not say.
 * @throws BonafideError `invalid_argument` when the names are malformed.
 */
export function tpmManufacturer({ extensions }: X509Certificate): string | undefined {
  const names = extensions.get(OID.subjectAlternativeName);
  if (names === undefined) return undefined;
  const reader = enterOnly(names.value, DER_TAG.sequence, SUBJECT);
  while (!reader.isAtEnd()) {
    const tag = reader.nextTag();
    const name = reader.readAny(FIELD);
    if (tag !== DIRECTORY_NAME) continue;
    const wrapper = new DerReader(name, SUBJECT).enter(DIRECTORY_NAME, FIELD);
    const found = attributeOf(wrapper.enter(DER_TAG.sequence, FIELD));
    wrapper.expectEnd(FIELD);
    if (found !== undefined) return registeredName(found);
  }
  return undefined;
}

function attributeOf(name: DerReader): string | undefined {
  for (let read = 0; read < MOST_ATTRIBUTES && !name.isAtEnd(); read += 1) {
    const set = name.enter(DER_TAG.set, FIELD);
    while (!set.isAtEnd()) {
      const attribute = set.enter(DER_TAG.sequence, FIELD);
      const type = attribute.readObjectIdentifier(FIELD);
      const tag = attribute.nextTag();
      const value = attribute.readAny(FIELD);
      const isText = tag === DER_TAG.utf8String || tag === DER_TAG.printableString;
      if (type !== TPM_MANUFACTURER || !isText) continue;
      return new DerReader(value, SUBJECT).readContent(tag, FIELD).toString('latin1');
    }
  }
  return undefined;
}

/** Of `id:414D4400`, four characters of ASCII that end with spaces or zeros. */
function registeredName(text: string): string | undefined {
  const digits = /^id:([0-9a-fA-F]{8})$/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const name = Buffer.from(digits, 'hex')
    .toString('latin1')
    .replace(/[\0 ]+$/, '');
  return /^[A-Za-z0-9]{2,4}$/.test(name) ? name : digits.toLowerCase();
}
