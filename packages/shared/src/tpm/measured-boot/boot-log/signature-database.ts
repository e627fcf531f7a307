/** The entries of a Secure Boot database such as db: EFI_SIGNATURE_LIST (UEFI specification, section 32.4.1). */
import { invalidArgument } from '../../../errors/bonafide-error.js';
import { formatGuid } from './efi-variable.js';
import { LittleEndianReader } from './little-endian-reader.js';

const MAXIMUM_ENTRIES = 4096;
const HEADER_BYTES = 28;
const OWNER_BYTES = 16;

export interface SignatureEntry {
  /** EFI_SIGNATURE_DATA as it stands: the owner's GUID, then the signature. */
  readonly raw: Buffer;
  /** Without the owner: a certificate's DER, or the hash of an image. */
  readonly signature: Buffer;
  /** What kind of thing it is, as a GUID of UEFI. */
  readonly type: string;
}

/**
 * @param database the value of the variable; empty when the machine has none
 * @throws BonafideError invalid_argument
 */
export function parseSignatureDatabase(database: Buffer): readonly SignatureEntry[] {
  const reader = new LittleEndianReader(database, 'a measured signature database');
  const entries: SignatureEntry[] = [];
  while (!reader.isAtEnd) {
    const type = formatGuid(reader.bytes(16));
    const listBytes = reader.uint32();
    const headerBytes = reader.uint32();
    const entryBytes = reader.uint32();
    const entriesBytes = listBytes - HEADER_BYTES - headerBytes;
    if (entryBytes <= OWNER_BYTES || entriesBytes < 0 || entriesBytes % entryBytes !== 0) {
      throw invalidArgument('a measured signature database has a list whose sizes contradict each other');
    }
    reader.bytes(headerBytes);
    for (let read = 0; read < entriesBytes; read += entryBytes) {
      if (entries.length >= MAXIMUM_ENTRIES) {
        throw invalidArgument(`a measured signature database has more than ${MAXIMUM_ENTRIES} entries`);
      }
      const raw = reader.bytes(entryBytes);
      entries.push({ raw, signature: raw.subarray(OWNER_BYTES), type });
    }
  }
  return entries;
}
