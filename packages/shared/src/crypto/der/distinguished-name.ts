/** X.501 names (RFC 5280 section 4.1.2.4) as subjects and issuers carry them. */
import { DerReader } from './der-reader.js';
import { derElement, derSequence } from './der-writer.js';
import { DER_TAG } from './der-tag.js';
import { encodeOid, OID } from './object-identifier.js';

/** What a configured or generated name may hold; written in this order. */
export interface DistinguishedName {
  readonly country?: readonly string[] | undefined;
  readonly organization?: readonly string[] | undefined;
  readonly organizationalUnit?: readonly string[] | undefined;
  readonly commonName?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly uniqueIdentifier?: string | undefined;
}

export function encodeDistinguishedName(name: DistinguishedName): Buffer {
  return derSequence(
    ...(name.country ?? []).map((value) => encodeNameAttribute(OID.country, value)),
    ...(name.organization ?? []).map((value) => encodeNameAttribute(OID.organization, value)),
    ...(name.organizationalUnit ?? []).map((value) => encodeNameAttribute(OID.organizationalUnit, value)),
    ...(name.commonName === undefined ? [] : [encodeNameAttribute(OID.commonName, name.commonName)]),
    ...(name.serialNumber === undefined ? [] : [encodeNameAttribute(OID.serialNumber, name.serialNumber)]),
    ...(name.uniqueIdentifier === undefined
      ? []
      : [encodeNameAttribute(OID.uniqueIdentifier, name.uniqueIdentifier)]),
  );
}

/** A relative distinguished name of one attribute: PrintableString where its alphabet allows, UTF8String otherwise. */
export function encodeNameAttribute(type: string, value: string): Buffer {
  const isPrintable = /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value);
  const text = derElement(
    isPrintable ? DER_TAG.printableString : DER_TAG.utf8String,
    Buffer.from(value, 'utf8'),
  );
  return derElement(DER_TAG.set, derSequence(encodeOid(type), text));
}

const LABELS: Readonly<Record<string, string>> = {
  [OID.country]: 'C',
  [OID.organization]: 'O',
  [OID.organizationalUnit]: 'OU',
  [OID.commonName]: 'CN',
  [OID.serialNumber]: 'serialNumber',
  [OID.uniqueIdentifier]: 'x500UniqueIdentifier',
};

/** For display, in the order of the certificate: `C=US,O=SPIRE`. Other attributes appear as hex. */
export function formatDistinguishedName(name: Buffer): string {
  const reader = new DerReader(name, 'name').enter(DER_TAG.sequence, 'name');
  const parts: string[] = [];
  while (!reader.isAtEnd()) {
    const set = reader.enter(DER_TAG.set, 'name');
    while (!set.isAtEnd()) {
      const attribute = set.enter(DER_TAG.sequence, 'name attribute');
      const type = attribute.readObjectIdentifier('name attribute type');
      const tag = attribute.nextTag();
      const element = attribute.readAny('name attribute value');
      const label = LABELS[type];
      const isText =
        tag === DER_TAG.utf8String || tag === DER_TAG.printableString || tag === DER_TAG.ia5String;
      const text = isText
        ? new DerReader(element, 'name').readContent(tag, 'name attribute value').toString('utf8')
        : `#${element.toString('hex')}`;
      parts.push(`${label ?? type}=${text.replace(/[\p{Cc},+\\]/gu, escapeCharacter)}`);
    }
  }
  return parts.join(',');
}

/** Checks that the bytes are a name, without reading what it says. */
export function checkDistinguishedName(name: Buffer, subject: string, field: string): void {
  const outer = new DerReader(name, subject);
  const reader = outer.enter(DER_TAG.sequence, field);
  outer.expectEnd(field);
  while (!reader.isAtEnd()) {
    const set = reader.enter(DER_TAG.set, field);
    if (set.isAtEnd()) throw set.malformed(field, 'has an empty part');
    while (!set.isAtEnd()) {
      const attribute = set.enter(DER_TAG.sequence, field);
      attribute.readObjectIdentifier(field);
      attribute.readAny(field);
      attribute.expectEnd(field);
    }
  }
}

function escapeCharacter(character: string): string {
  return /\p{Cc}/u.test(character)
    ? `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`
    : `\\${character}`;
}
