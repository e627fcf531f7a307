/** Subject alternative names (RFC 5280 section 4.2.1.6): the URI and DNS names; other kinds are checked for shape and passed over. */
import { invalidArgument } from '../../errors/bonafide-error.js';
import { enterOnly } from './der-reader.js';
import { derElement, derSequence } from './der-writer.js';
import { contextTag } from './der-tag.js';

export interface SubjectAlternativeNames {
  readonly uriNames: readonly string[];
  readonly dnsNames: readonly string[];
}

const DNS_NAME = contextTag(2, false);
const URI_NAME = contextTag(6, false);
/** otherName, rfc822Name, x400Address, directoryName, ediPartyName, iPAddress, registeredID. */
const OTHER_NAMES: ReadonlySet<number> = new Set([0xa0, 0x81, 0xa3, 0xa4, 0xa5, 0x87, 0x88]);

/** @param value GeneralNames, DER. */
export function parseSubjectAlternativeNames(value: Buffer, subject: string): SubjectAlternativeNames {
  const reader = enterOnly(value, 0x30, subject);
  const uriNames: string[] = [];
  const dnsNames: string[] = [];
  if (reader.isAtEnd()) throw reader.malformed('subject alternative name', 'is empty');
  while (!reader.isAtEnd()) {
    const tag = reader.nextTag() ?? 0;
    if (tag === URI_NAME) uriNames.push(reader.readAscii(tag, 'URI name'));
    else if (tag === DNS_NAME) dnsNames.push(reader.readAscii(tag, 'DNS name'));
    else if (OTHER_NAMES.has(tag)) reader.readElement(tag, 'subject alternative name');
    else throw reader.malformed('subject alternative name', 'has an unknown kind');
  }
  return { uriNames, dnsNames };
}

/** URIs first. @throws BonafideError `invalid_argument` for a name that is not ASCII, which IA5String cannot say. */
export function encodeSubjectAlternativeNames(names: SubjectAlternativeNames): Buffer {
  return derSequence(
    ...names.uriNames.map((name) => derElement(URI_NAME, ia5String(name))),
    ...names.dnsNames.map((name) => derElement(DNS_NAME, ia5String(name))),
  );
}

function ia5String(name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.some((byte) => byte > 0x7f)) {
    throw invalidArgument(`name ${JSON.stringify(name)} is not ASCII; URIs and DNS names must be`);
  }
  return bytes;
}
