/** What an X.501 name says (RFC 5280 section 4.1.2.4), attribute by attribute, as text. */
import { DerReader } from './der-reader.js';
import { DER_TAG } from './der-tag.js';

/** Kinds of string of which `DER_TAG` has no need elsewhere. */
const NUMERIC_STRING = 0x12;
const TELETEX_STRING = 0x14;
const BMP_STRING = 0x1e;

/**
 * @param name DER of a name that `checkDistinguishedName` has let pass.
 * @returns the values of each attribute type (as in `OID`), in their order; those that are not text are left out.
 * @throws BonafideError `invalid_argument` for text that is not in the encoding that it claims.
 */
export function readNameAttributes(name: Buffer): ReadonlyMap<string, readonly string[]> {
  const attributes = new Map<string, string[]>();
  const reader = new DerReader(name, 'name').enter(DER_TAG.sequence, 'name');
  while (!reader.isAtEnd()) {
    const set = reader.enter(DER_TAG.set, 'name');
    while (!set.isAtEnd()) {
      const attribute = set.enter(DER_TAG.sequence, 'name attribute');
      const type = attribute.readObjectIdentifier('name attribute type');
      const text = readText(attribute);
      if (text === undefined) continue;
      const values = attributes.get(type);
      if (values === undefined) attributes.set(type, [text]);
      else values.push(text);
    }
  }
  return attributes;
}

function readText(attribute: DerReader): string | undefined {
  const tag = attribute.nextTag() ?? DER_TAG.null;
  switch (tag) {
    case DER_TAG.printableString:
    case DER_TAG.ia5String:
    case NUMERIC_STRING:
      return attribute.readAscii(tag, 'name attribute');
    case DER_TAG.utf8String:
      return decode('utf-8', attribute, tag);
    case BMP_STRING:
      return decode('utf-16be', attribute, tag);
    case TELETEX_STRING:
      return attribute.readContent(tag, 'name attribute').toString('latin1');
    default:
      return undefined;
  }
}

function decode(encoding: string, attribute: DerReader, tag: number): string {
  const content = attribute.readContent(tag, 'name attribute');
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw attribute.malformed('name attribute', `is not ${encoding.toUpperCase()}`);
  }
}
